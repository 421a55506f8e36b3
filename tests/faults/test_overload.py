"""More than can be scored, and callers that leave."""

from __future__ import annotations

import asyncio

import pytest

from rayreward import HandleClient, HttpClient
from rayreward.errors import BackpressureError
from rayreward.router.stats import RouterStats
from rayreward.serve.calls import call_handle
from tests.faults.conftest import Narrow, Service
from tests.faults.ledger import Ledger
from tests.faults.load import Load, NativeCaller, OpenRLHFCaller, until

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]


async def stats_of(app: str) -> RouterStats:
    from ray import serve

    stats: RouterStats = await call_handle(await asyncio.to_thread(serve.get_app_handle, app), "stats")
    return stats


async def test_at_ten_times_its_capacity_every_sample_is_scored_in_the_end(narrow: Narrow) -> None:
    ledger = Ledger()
    callers = [
        NativeCaller("http own port", HttpClient(narrow.fast_url), "narrow"),
        NativeCaller("msgpack own port", HttpClient(narrow.fast_url, format="msgpack"), "narrow"),
        NativeCaller("http proxy", HttpClient(narrow.url), "narrow"),
        OpenRLHFCaller("openrlhf own port", f"{narrow.fast_url}/get_reward?run=narrow"),
        OpenRLHFCaller("openrlhf proxy", f"{narrow.url}/get_reward?run=narrow"),
    ]
    # Ten callers of eight samples want ten times of what the router lets in, as fast as it scores them.
    async with Load(callers * 2, samples_a_request=8, ledger=ledger) as load:
        await load.goes_on(100)
    ledger.check()
    stats = await stats_of("narrow")
    assert stats.refused_count > 0
    assert (stats.inside_samples, stats.held_count) == (0, 0)


async def test_a_native_caller_without_patience_is_told_when_to_come_again(narrow: Narrow) -> None:
    ledger = Ledger()
    flood = [OpenRLHFCaller("openrlhf own port", f"{narrow.fast_url}/get_reward?run=flood")] * 10
    async with Load(flood, samples_a_request=8, ledger=ledger) as load:
        await load.goes_on(8)
        with pytest.raises(BackpressureError, match="takes no 8 more") as caught:
            async with HttpClient(narrow.fast_url) as client:
                while True:
                    await client.ascore([{"response": "1"}] * 8, timeout_s=0.05)
        assert caught.value.retry_after_s > 0
    ledger.check()


async def test_the_handle_client_is_refused_with_a_failure_for_each_sample(narrow: Narrow) -> None:
    ledger = Ledger()
    flood = [OpenRLHFCaller("openrlhf own port", f"{narrow.fast_url}/get_reward?run=flood")] * 10
    native = [NativeCaller("handle", HandleClient("narrow"), "narrow")] * 4
    async with Load([*flood, *native], samples_a_request=8, ledger=ledger) as load:
        await load.goes_on(60)
    ledger.check(may_fail={"rejected"})
    assert not ledger.account("openrlhf own port").failed


async def test_the_waiting_samples_of_a_caller_that_leaves_leave_the_queue(service: Service) -> None:
    async def dropped() -> int:
        return {lane.reward: lane.dropped_count for lane in (await stats_of("rewards")).lanes}["patient"]

    before = await dropped()
    async with HttpClient(service.fast_url) as client:
        samples = [{"response": str(number)} for number in range(4096)]
        asking = asyncio.create_task(client.ascore(samples, reward="patient"))
        waiting = 0
        async with asyncio.timeout(60):
            while not waiting:
                waiting = {lane.reward: lane.waiting_count for lane in (await stats_of("rewards")).lanes}["patient"]
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    async with asyncio.timeout(60):
        while (await dropped()) == before:
            await asyncio.sleep(0.1)
    async with HttpClient(service.fast_url) as client:
        [output] = await client.ascore([{"response": "7"}], reward="patient")
    assert output.score == 7.0
