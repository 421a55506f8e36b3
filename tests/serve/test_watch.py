"""What the router keeps knowing, over a stand-in for Ray's handle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rayreward.router.backlog import Backlog
from rayreward.router.batching import BatchLimits
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import Lane, open_lane
from rayreward.router.lane_policy import LanePolicy, Slots
from rayreward.router.prescale import ReplicaRange
from rayreward.router.terms import Terms
from rayreward.serve import watch
from rayreward.testing import ManualClock
from tests.router.stages import Stage, said, samples, turns


class Handle:
    """Ray's, of a reward that tells what it is; remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[Backlog] = []

    def options(self, *, method_name: str, _by_reference: bool) -> Any:
        handle = self

        class Method:
            async def remote(self, told: Backlog) -> RewardFacts:
                handle.told.append(told)
                return RewardFacts("v")

        return Method()


@pytest.fixture(autouse=True)
def _without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_PROBE_PAUSE_S", 0.0)


def sleeper(clock: Callable[[], float] | None = None) -> Lane:
    policy = LanePolicy(replicas=ReplicaRange(0, 4, fixed_by=None))
    lane = open_lane(Stage(), slot_count=1, limits=BatchLimits(), policy=policy, now=clock or ManualClock())
    lane.replica_count = 0
    return lane


@asynccontextmanager
async def watched(lane: Lane, handle: Handle) -> AsyncIterator[None]:
    task = asyncio.create_task(watch.keep_known(lane, handle))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_reward_that_sleeps_is_left_alone_until_a_sample_needs_it() -> None:
    lane, handle = sleeper(), Handle()
    async with watched(lane, handle):
        await turns(50)
        assert handle.told == []
        assert said(await lane.score(samples("ab"), Terms())) == [2.0]
    assert lane.facts == RewardFacts("v")


async def test_a_wish_is_repeated_until_its_end_and_wakes_it() -> None:
    clock = ManualClock()
    lane, handle = sleeper(clock), Handle()
    async with watched(lane, handle):
        lane.prescale("r", 3, for_s=60.0)
        await turns(50)
        assert len(handle.told) > 1
        assert {told.wished_replicas for told in handle.told} == {3}
        clock.advance(60.0)
        await turns(50)
        count = len(handle.told)
        await turns(50)
        assert len(handle.told) == count


async def test_a_wish_that_is_taken_back_is_told_once() -> None:
    lane, handle = sleeper(), Handle()
    lane.replica_count, lane.slots = 2, Slots(1, most_replicas=4)
    lane.learn(RewardFacts("v"))
    async with watched(lane, handle):
        lane.prescale("r", 0, for_s=60.0)
        await turns(50)
    assert [told.wished_replicas for told in handle.told] == [0]


async def test_one_that_may_not_sleep_is_asked_until_it_is_known() -> None:
    policy = LanePolicy()
    lane = open_lane(Stage(), slot_count=1, limits=BatchLimits(), policy=policy, now=ManualClock())
    handle = Handle()
    async with watched(lane, handle):
        await turns(50)
    assert len(handle.told) == 1
    assert lane.state == "ready"


async def test_one_that_never_sleeps_is_looked_at_again_for_it_may_have_been_reloaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "_LOOK_PAUSE_S", 0.0)
    lane, asleep, handle, unasked = (
        open_lane(Stage(), slot_count=1, limits=BatchLimits(), policy=LanePolicy(), now=ManualClock()),
        sleeper(),
        Handle(),
        Handle(),
    )
    async with watched(lane, handle), watched(asleep, unasked):
        await turns(50)
    assert len(handle.told) > 1
    assert unasked.told == []
