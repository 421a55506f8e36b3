"""What the router does with a call that is answered without its slow samples."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rayreward.batches import NOT_KNOWN_YET, AskedAgain, EarlyBatch
from rayreward.errors import ServiceUnavailableError
from rayreward.router.batching import BatchLimits
from rayreward.router.bisection import bisecting
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import Lane, open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.router.terms import Terms
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from rayreward.types import RewardOutput
from tests.router.stages import said, samples, turns


class Replica:
    """Answers at once, but for samples that begin with "slow": those when they are asked for again, and let."""

    def __init__(self, *, poison: str = "") -> None:
        self.batches: list[list[str]] = []
        self.asked_again: list[list[str]] = []
        self.cancelled: list[str] = []
        self.lost: set[str] = set()
        self._poison = poison
        self._let: dict[str, asyncio.Event] = {}

    def let(self, response: str) -> None:
        self._let[response].set()

    async def __call__(self, batch: list[Sample]) -> Sequence[RewardOutput]:
        if isinstance(batch, AskedAgain):
            return await self._slow([sample.response for sample in batch], batch.tickets)
        responses = [sample.response for sample in batch]
        self.batches.append(responses)
        if self._poison in responses and self._poison:
            raise ValueError("poison")
        tickets = {at: response for at, response in enumerate(responses) if response.startswith("slow")}
        known = [NOT_KNOWN_YET if at in tickets else RewardOutput(1.0) for at in range(len(batch))]
        return EarlyBatch.without(known, tickets) if tickets else known

    async def _slow(self, responses: list[str], tickets: Sequence[str]) -> Sequence[RewardOutput]:
        """As soon as one of them is let: those that are, and tickets for the others."""
        assert list(tickets) == responses
        self.asked_again.append(responses)
        waiting = [asyncio.create_task(self._let.setdefault(one, asyncio.Event()).wait()) for one in responses]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self.cancelled += responses
            raise
        finally:
            for task in waiting:
                task.cancel()
        if self.lost.intersection(responses):
            raise ServiceUnavailableError("lost in each attempt")
        still = {at: one for at, one in enumerate(responses) if not self._let[one].is_set()}
        outputs = [NOT_KNOWN_YET if at in still else RewardOutput(2.0) for at in range(len(responses))]
        return EarlyBatch.without(outputs, still) if still else outputs


def lane_to(replica: Replica) -> Lane:
    lane = open_lane(replica, slot_count=1, limits=BatchLimits(), policy=LanePolicy(), now=ManualClock())
    lane.learn(RewardFacts("v"))
    return lane


def ask(lane: Lane, *responses: str, timeout_s: float | None = None) -> asyncio.Task[list[RewardOutput]]:
    return asyncio.create_task(lane.score(samples(*responses), Terms(timeout_s)))


async def test_the_others_have_their_outputs_and_the_slot_is_free_for_more() -> None:
    replica = Replica()
    lane = lane_to(replica)
    slow, mixed, quick = ask(lane, "slow 1"), ask(lane, "a", "slow 2"), ask(lane, "b")
    assert said(await quick) == [1.0]
    assert said(await ask(lane, "c")) == [1.0]
    assert replica.batches == [["slow 1", "a", "slow 2", "b"], ["c"]]
    assert replica.asked_again == [["slow 1", "slow 2"]]
    assert lane.stats("r").in_flight_count == 2
    replica.let("slow 2")
    assert said(await mixed) == [1.0, 2.0]
    assert not slow.done()
    await turns()
    assert replica.asked_again == [["slow 1", "slow 2"], ["slow 1"]]
    replica.let("slow 1")
    assert said(await slow) == [2.0]
    stats = lane.stats("r")
    assert (stats.sample_count, stats.batch_count, stats.in_flight_count) == (5, 2, 0)
    assert lane.coalescer.is_idle  # type: ignore[union-attr]


async def test_one_whose_every_replica_is_lost_fails_alone() -> None:
    replica = Replica()
    lane = lane_to(replica)
    slow, other = ask(lane, "slow"), ask(lane, "a")
    assert said(await other) == [1.0]
    replica.lost.add("slow")
    replica.let("slow")
    assert said(await slow) == ["unavailable"]
    assert lane.stats("r").failure_counts == {"unavailable": 1}


async def test_when_its_caller_leaves_nobody_asks_for_it_any_more_and_another_callers_is_asked_for() -> None:
    replica = Replica()
    lane = lane_to(replica)
    leaving, staying = ask(lane, "slow 1"), ask(lane, "slow 2")
    await turns()
    leaving.cancel()
    await turns()
    assert replica.cancelled == []
    replica.let("slow 2")
    assert said(await staying) == [2.0]
    await turns()
    assert replica.asked_again == [["slow 1", "slow 2"]], "nobody asks for it any more: its replica gives it up"
    assert lane.coalescer.is_idle  # type: ignore[union-attr]


async def test_when_its_callers_deadline_passes_it_is_cancelled() -> None:
    replica = Replica()
    lane = lane_to(replica)
    assert said(await ask(lane, "a", "slow", timeout_s=0.01)) == [1.0, "timeout"]
    await turns()
    assert replica.cancelled == ["slow"]


async def test_a_closed_service_fails_it() -> None:
    replica = Replica()
    lane = lane_to(replica)
    slow = ask(lane, "slow")
    await turns()
    await lane.close()
    assert said(await slow) == ["cancelled"]


async def test_an_early_answer_in_which_nothing_is_known_says_nothing_of_the_reward() -> None:
    replica = Replica()
    lane = lane_to(replica)
    for number in range(30):
        slow = ask(lane, f"slow {number}")
        await turns()
        replica.let(f"slow {number}")
        assert said(await slow) == [2.0]
    assert lane.breaker is not None
    assert lane.breaker.state == "closed"


@pytest.mark.parametrize("one_by_one", [True, False])
async def test_halves_of_a_poisoned_batch_may_be_answered_early(one_by_one: bool) -> None:
    send = bisecting(Replica(poison="poison"), scores_one_by_one=lambda: one_by_one)
    outputs = await send(samples("a", "poison", "slow 1", "slow 2", "b"))
    assert isinstance(outputs, EarlyBatch)
    assert outputs.tickets == {2: "slow 1", 3: "slow 2"}
    assert said(outputs.known(outputs)) == [1.0, "error", 1.0]
