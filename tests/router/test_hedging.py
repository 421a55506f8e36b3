from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rayreward.router.batching import BatchLimits
from rayreward.router.facts import RewardFacts
from rayreward.router.hedging import HedgeStats, hedged
from rayreward.router.lane import open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.router.terms import Terms
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from rayreward.types import RewardOutput
from tests.router.stages import said, samples, turns


class Calls:
    """Each call answers, or fails, when the test says so."""

    def __init__(self) -> None:
        self.answers: list[asyncio.Future[Sequence[RewardOutput]]] = []

    async def __call__(self, batch: list[Sample]) -> Sequence[RewardOutput]:
        answer: asyncio.Future[Sequence[RewardOutput]] = asyncio.get_running_loop().create_future()
        self.answers.append(answer)
        return await answer

    def answer(self, number: int, score: float) -> None:
        self.answers[number].set_result([RewardOutput(score)])


class Patience:
    """Waits until the test says that the time is over."""

    def __init__(self) -> None:
        self.waits_s: list[float] = []
        self._over = asyncio.Event()

    def end(self) -> None:
        self._over.set()

    async def __call__(self, seconds: float) -> None:
        self.waits_s.append(seconds)
        await self._over.wait()


class Hedge:
    """A hedged call under way."""

    def __init__(self) -> None:
        self.calls, self.patience, self.stats = Calls(), Patience(), HedgeStats()
        send = hedged(self.calls, after_s=3.0, stats=self.stats, sleep=self.patience)
        self.outputs = asyncio.ensure_future(send(samples("a")))

    @property
    def counts(self) -> tuple[int, int]:
        return self.stats.sent_count, self.stats.won_count


@pytest.fixture
async def hedge() -> Hedge:
    hedge = Hedge()
    await turns()
    return hedge


@pytest.fixture
async def twice(hedge: Hedge) -> Hedge:
    """One whose second call is under way."""
    hedge.patience.end()
    await turns()
    assert len(hedge.calls.answers) == 2
    return hedge


async def test_an_answer_in_time_is_one_call(hedge: Hedge) -> None:
    hedge.calls.answer(0, 1.0)
    assert said(await hedge.outputs) == [1.0]
    assert hedge.patience.waits_s == [3.0]
    assert (len(hedge.calls.answers), hedge.counts) == (1, (0, 0))


async def test_after_the_time_the_second_call_may_answer_and_the_first_is_cancelled(twice: Hedge) -> None:
    twice.calls.answer(1, 2.0)
    assert said(await twice.outputs) == [2.0]
    assert twice.calls.answers[0].cancelled()
    assert twice.counts == (1, 1)


async def test_the_first_may_still_answer_first(twice: Hedge) -> None:
    twice.calls.answer(0, 1.0)
    assert said(await twice.outputs) == [1.0]
    assert twice.calls.answers[1].cancelled()
    assert twice.counts == (1, 0)


async def test_a_call_that_fails_in_time_is_not_sent_again(hedge: Hedge) -> None:
    hedge.calls.answers[0].set_exception(ValueError("broken"))
    with pytest.raises(ValueError, match="broken"):
        await hedge.outputs
    assert len(hedge.calls.answers) == 1


@pytest.mark.parametrize("failing", [0, 1])
async def test_the_failure_of_one_waits_for_the_other(twice: Hedge, failing: int) -> None:
    twice.calls.answers[failing].set_exception(ValueError("broken"))
    await turns()
    assert not twice.outputs.done()
    twice.calls.answer(1 - failing, 3.0)
    assert said(await twice.outputs) == [3.0]


async def test_where_both_fail_the_first_ones_error_counts(twice: Hedge) -> None:
    for number, message in ((1, "second"), (0, "first")):
        twice.calls.answers[number].set_exception(ValueError(message))
        await turns()
    with pytest.raises(ValueError, match="first"):
        await twice.outputs


async def test_a_caller_that_leaves_cancels_both(twice: Hedge) -> None:
    twice.outputs.cancel()
    with pytest.raises(asyncio.CancelledError):
        await twice.outputs
    assert all(answer.cancelled() for answer in twice.calls.answers)


async def test_a_lane_hedges_where_its_policy_says_so_and_counts_it() -> None:
    calls = Calls()

    async def send(batch: list[Sample]) -> Any:
        if not calls.answers:
            return await calls(batch)  # for ever
        return [RewardOutput(5.0)] * len(batch)

    policy = LanePolicy(hedge_after_s=0.001)
    lane = open_lane(send, slot_count=1, limits=BatchLimits(), policy=policy, now=ManualClock())
    lane.learn(RewardFacts("v"))
    assert said(await lane.score(samples("a", "b"), Terms())) == [5.0, 5.0]
    stats = lane.stats("r")
    assert (stats.hedged_count, stats.hedge_won_count, stats.batch_count, stats.breaker) == (1, 1, 1, "closed")
