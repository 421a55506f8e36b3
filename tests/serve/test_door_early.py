"""Requests of clients that ask for several callers at once: what is known soon is answered soon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from rayreward import HttpClient
from rayreward.client.run import RunClient
from rayreward.router.batching import BatchLimits
from rayreward.router.config import Limits, OpenRLHFPolicy
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.router.openrlhf import OpenRLHFRoute
from rayreward.router.router import Router
from rayreward.sample import Sample
from rayreward.serve.door import Door
from rayreward.testing import ManualClock
from rayreward.types import RewardOutput
from tests.router.stages import turns
from tests.serve.test_door import strict


@pytest.fixture
async def go() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def door(go: asyncio.Event) -> Door:
    async def send(batch: list[Sample]) -> list[RewardOutput]:
        if batch[0].response == "slow":
            await go.wait()
        return [RewardOutput(float(len(batch[0].response)))]

    lane = open_lane(send, slot_count=8, limits=BatchLimits(max_samples=1), policy=LanePolicy(), now=ManualClock())
    lane.learn(RewardFacts("v"))
    router = Router({"r": lane}, main_reward="r", now=ManualClock())
    return Door(router, OpenRLHFRoute(router, OpenRLHFPolicy()), Limits(max_request_samples=4))


@pytest.fixture
async def http(door: Door) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url="http://h", transport=httpx.ASGITransport(door)) as http:
        yield http


async def test_what_is_not_known_soon_has_a_ticket_and_is_asked_for_at_the_same_address(
    go: asyncio.Event, http: httpx.AsyncClient
) -> None:
    samples = [{"no": 1}, {"response": "slow"}, {"response": "a"}]
    body = strict(await http.post("/v1/rewards/r", json={"samples": samples, "early": True}))
    malformed, missing, known = body["outputs"]
    assert (malformed["failure"]["kind"], missing, known["score"]) == ("invalid_input", None, 1.0)
    assert list(body["tickets"]) == ["1"]
    asking = asyncio.create_task(http.post("/r", json={"tickets": [body["tickets"]["1"], "of nobody"]}))
    await turns(20)
    go.set()
    rest = strict(await asking)
    assert ({at: one["score"] for at, one in rest["outputs"].items()}, rest["unknown"]) == ({"0": 4.0}, [1])


async def test_an_answer_in_which_all_is_known_is_like_any_other(http: httpx.AsyncClient) -> None:
    answers = [
        strict(await http.post("/r", json={"samples": [{"response": "a"}], "early": early})) for early in (True, False)
    ]
    assert answers[0].keys() == answers[1].keys() == {"reward", "outputs"}


async def test_more_tickets_than_a_request_may_hold_samples_are_refused(http: httpx.AsyncClient) -> None:
    assert (await http.post("/r", json={"tickets": ["x"] * 5})).status_code == 413


@pytest.mark.parametrize("format", ["json", "msgpack"])
async def test_a_runs_client_is_answered_for_each_of_its_callers(go: asyncio.Event, door: Door, format: Any) -> None:
    async with HttpClient("http://h", transport=httpx.ASGITransport(door), format=format) as carrier:
        client = RunClient(carrier, reward="r", run="ppo")
        unsendable = Sample(response="x", label={1j})
        callers = [Sample(response="slow"), unsendable, *[Sample(response="a" * size) for size in (1, 2, 3)]]
        slow, *others = (asyncio.create_task(client.ascore([sample])) for sample in callers)
        said = [output.score for [output] in await asyncio.gather(*others)]
        assert said == [None, 1.0, 2.0, 3.0]
        assert not slow.done()
        go.set()
        assert [output.score for output in await slow] == [4.0]
