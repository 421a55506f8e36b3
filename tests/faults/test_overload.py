"""More than can be scored, and callers that leave."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from rayreward import HandleClient, HttpClient
from rayreward.client.trainer import TrainerClient
from rayreward.router.stats import LaneStats, RouterStats
from rayreward.serve.calls import call_handle
from tests.faults.conftest import Narrow
from tests.faults.load import Load, NativeCaller, OpenRLHFCaller, TrainerCaller
from tests.faults.service import Service

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]


async def stats_of(app: str) -> RouterStats:
    from ray import serve

    stats: RouterStats = await call_handle(await asyncio.to_thread(serve.get_app_handle, app), "stats")
    return stats


async def patient_lane() -> LaneStats:
    return next(lane for lane in (await stats_of("rewards")).lanes if lane.reward == "patient")


async def test_at_ten_times_its_capacity_every_sample_is_scored_in_the_end(narrow: Narrow) -> None:
    native = [
        NativeCaller("http own port", HttpClient(narrow.fast_url), "narrow"),
        NativeCaller("msgpack own port", HttpClient(narrow.fast_url, format="msgpack"), "narrow"),
        NativeCaller("http proxy", HttpClient(narrow.url), "narrow"),
        NativeCaller("handle", HandleClient("narrow"), "narrow"),
    ]
    trainings = [
        TrainerCaller("trainer", TrainerClient("narrow", reward="narrow", run="trainer")),
        OpenRLHFCaller("openrlhf own port", f"{narrow.fast_url}/get_reward?run=narrow"),
        OpenRLHFCaller("openrlhf proxy", f"{narrow.url}/get_reward?run=narrow"),
    ]
    # The router lets in eight samples at once; these ask for eighty at once, again and again.
    async with Load([*native, *trainings, *trainings], samples_a_request=8) as load:
        await load.goes_on(48)
    load.ledger.check()
    stats = await stats_of("narrow")
    assert (stats.inside_samples, stats.held_count) == (0, 0)


async def test_a_native_request_that_has_no_turn_in_time_is_told_when_to_come_again(narrow: Narrow) -> None:
    trainings = [OpenRLHFCaller(f"training {at}", f"{narrow.fast_url}/get_reward?run={at}") for at in range(10)]
    async with Load(trainings, samples_a_request=8) as load:
        await load.goes_on(8)
        body = {"samples": [{"response": "1"}] * 8, "timeout_s": 0.001}
        async with httpx.AsyncClient(base_url=narrow.fast_url) as http:
            refused = await http.post("/v1/rewards/narrow", json=body)
        assert (refused.status_code, refused.json()["error"]) == (429, "BackpressureError")
        assert float(refused.headers["retry-after"]) > 0
    load.ledger.check()


async def test_the_waiting_samples_of_a_caller_that_leaves_leave_the_queue(service: Service) -> None:
    before = (await patient_lane()).dropped_count
    async with HttpClient(service.fast_url) as client:
        samples = [{"response": str(number)} for number in range(4096)]
        asking = asyncio.create_task(client.ascore(samples, reward="patient"))
        async with asyncio.timeout(60):
            while not (await patient_lane()).waiting_count:
                continue
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    async with asyncio.timeout(60):
        while (await patient_lane()).waiting_count:
            continue
    assert (await patient_lane()).dropped_count > before
    async with HttpClient(service.fast_url) as client:
        [output] = await client.ascore([{"response": "7"}], reward="patient")
    assert output.score == 7.0
