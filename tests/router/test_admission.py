from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rayreward.errors import BackpressureError
from rayreward.router.admission import Admission, AdmissionPolicy, Gate, Ticket, WaitingLimit
from rayreward.testing import ManualClock
from tests.router.stages import turns


def ticket(samples: int, *, reward: str = "r", caller: str = "run", rank: int = 0, size_bytes: int = 0) -> Ticket:
    return Ticket(reward, caller, rank, samples, size_bytes)


def limited(clock: ManualClock | None = None, **limits: Any) -> Admission:
    return Admission(AdmissionPolicy(**limits), now=clock or ManualClock())


TEN = WaitingLimit(max_samples=10)


class TestLimits:
    def test_samples_enter_until_the_limit_and_again_when_some_have_left(self) -> None:
        admission = limited(total=TEN)
        first, second, third = ticket(6), ticket(4), ticket(1)
        assert admission.enters(first)
        assert admission.enters(second)
        assert not admission.enters(third)
        admission.leave(first)
        assert admission.enters(third)

    def test_bytes_count_too(self) -> None:
        admission = limited(total=WaitingLimit(max_bytes=100))
        assert admission.enters(ticket(1, size_bytes=60))
        assert not admission.enters(ticket(1, size_bytes=60))
        assert admission.enters(ticket(1, size_bytes=40))

    def test_a_request_larger_than_the_limit_enters_an_empty_router(self) -> None:
        admission = limited(total=TEN)
        large = ticket(50)
        assert admission.enters(large)
        assert not admission.enters(ticket(1))
        admission.leave(large)
        assert admission.enters(ticket(1))

    def test_one_reward_or_one_caller_may_be_full_and_others_are_not(self) -> None:
        admission = limited(per_reward=TEN)
        assert admission.enters(ticket(10))
        assert not admission.enters(ticket(1))
        assert admission.enters(ticket(1, reward="other"))
        admission = limited(per_caller=TEN)
        assert admission.enters(ticket(10))
        assert not admission.enters(ticket(1, reward="other"))
        assert admission.enters(ticket(1, caller="other"))

    def test_names_from_the_network_are_not_remembered(self) -> None:
        admission = limited()
        for number in range(100):
            one = ticket(1, caller=str(number))
            assert admission.enters(one)
            admission.leave(one)
        assert not admission._by_caller
        assert not admission._by_reward


class TestHolding:
    def test_who_is_held_enters_as_soon_as_there_is_room(self) -> None:
        admission = limited(total=TEN)
        inside, held = ticket(10), ticket(4)
        assert admission.enters(inside)
        admission.hold(held)
        assert admission.held_count == 1
        assert admission.leave(inside) == [held]
        assert (admission.held_count, admission.total.samples) == (0, 4)

    def test_the_most_urgent_enters_first_and_callers_take_turns(self) -> None:
        admission = limited(total=WaitingLimit(max_samples=1))
        inside = ticket(1)
        assert admission.enters(inside)
        waiting = [
            ticket(1, rank=1, caller="eval"),
            *(ticket(1, caller="a") for _ in range(2)),
            ticket(1, caller="b"),
        ]
        for one in waiting:
            admission.hold(one)
        entered = []
        while admission.held_count:
            [inside] = admission.leave(inside)
            entered.append(inside.caller)
        assert entered == ["a", "b", "a", "eval"]

    def test_a_newcomer_does_not_overtake_those_who_wait(self) -> None:
        admission = limited(total=TEN)
        inside, held = ticket(9), ticket(5)
        assert admission.enters(inside)
        admission.hold(held)
        assert not admission.enters(ticket(1)), "there is room for it, but it is not its turn"
        assert admission.held_count == 1
        assert admission.leave(inside) == [held]

    def test_a_large_request_is_not_overtaken_by_small_ones_for_ever(self) -> None:
        admission = limited(total=TEN)
        inside = [ticket(1, caller="small") for _ in range(10)]
        assert all(admission.enters(one) for one in inside)
        large = ticket(10, caller="large")
        admission.hold(large)
        for _ in range(20):
            admission.hold(ticket(1, caller="small"))
        entered = [other for one in inside for other in admission.leave(one)]
        assert entered[0] is large or large in entered[:2], "one of the others had its turn at most"

    def test_rewards_take_turns(self) -> None:
        admission = limited(total=WaitingLimit(max_samples=1))
        inside = ticket(1)
        assert admission.enters(inside)
        for reward in ("a", "a", "a", "b", "b"):
            admission.hold(ticket(1, reward=reward))
        entered = []
        while admission.held_count:
            [inside] = admission.leave(inside)
            entered.append(inside.reward)
        assert entered == ["a", "b", "a", "b", "a"]

    def test_a_reward_at_its_limit_holds_up_its_own_samples_only(self) -> None:
        admission = limited(per_reward=TEN)
        inside = ticket(9, reward="full")
        assert admission.enters(inside)
        large, small, other = ticket(9, reward="full"), ticket(1, reward="full", caller="b"), ticket(9, reward="other")
        admission.hold(large)
        assert not admission.enters(small), "it is the large one's turn"
        assert admission.enters(other)
        assert admission.leave(inside) == [large]

    def test_a_caller_at_its_own_limit_holds_up_nobody_else(self) -> None:
        admission = limited(per_caller=TEN)
        assert admission.enters(ticket(10, caller="greedy"))
        admission.hold(ticket(5, caller="greedy"))
        assert admission.enters(ticket(5, caller="modest"))

    def test_who_gives_up_waits_no_longer(self) -> None:
        admission = limited(total=TEN)
        inside, held = ticket(10), ticket(1)
        assert admission.enters(inside)
        admission.hold(held)
        admission.withdraw(held)
        admission.withdraw(held)
        assert admission.leave(inside) == []
        assert (admission.held_count, admission.total.samples) == (0, 0)


def test_how_long_to_stay_away_follows_from_how_fast_samples_leave() -> None:
    clock = ManualClock()
    admission = limited(clock, total=TEN)
    inside = ticket(10)
    assert admission.enters(inside)
    assert admission.retry_after_s(ticket(5)) == 30.0, "nothing has left yet"
    admission.leave(inside)
    assert admission.retry_after_s(ticket(4)) == pytest.approx(2.0), "10 in 5 s"
    assert admission.retry_after_s(ticket(0)) == 0.1
    clock.advance(60.0)
    assert admission.retry_after_s(ticket(5)) == 30.0


class TestGate:
    async def test_a_refusal_says_when_to_come_again(self) -> None:
        gate = Gate(limited(total=TEN, turn_wait_s=0.0))
        await gate.enter(ticket(10))
        with pytest.raises(BackpressureError, match="holds 10 samples and takes no 3 more for now; try again in 30"):
            await gate.enter(ticket(3))
        assert gate.admission.stats.refused_count == 1

    async def test_who_may_be_refused_takes_its_turn_among_those_that_may_not(self) -> None:
        gate = Gate(limited(total=TEN, turn_wait_s=60.0))
        inside = ticket(10)
        await gate.enter(inside)
        held = [ticket(10, caller="training") for _ in range(3)]
        waiting = [asyncio.create_task(gate.enter_in_turn(one, timeout_s=None)) for one in held]
        native = asyncio.create_task(gate.enter(ticket(10, caller="native")))
        await turns()
        gate.leave(inside)
        await waiting[0]
        gate.leave(held[0])
        await native
        assert not any(one.done() for one in waiting[1:])
        for one in waiting:
            one.cancel()

    async def test_nobody_is_held_beyond_its_own_deadline(self) -> None:
        gate = Gate(limited(total=TEN, turn_wait_s=60.0))
        await gate.enter(ticket(10))
        with pytest.raises(BackpressureError):
            await gate.enter(ticket(3), timeout_s=0.0)

    async def test_who_may_not_be_refused_waits_for_its_turn(self) -> None:
        gate = Gate(limited(total=TEN))
        inside = ticket(10)
        await gate.enter(inside)
        held = asyncio.create_task(gate.enter_in_turn(ticket(1), timeout_s=60.0))
        await turns()
        assert not held.done()
        gate.leave(inside)
        assert await held
        assert gate.admission.total.samples == 1

    async def test_and_is_told_when_there_was_no_room_in_time(self) -> None:
        gate = Gate(limited(total=TEN))
        await gate.enter(ticket(10))
        assert not await gate.enter_in_turn(ticket(1), timeout_s=0.0)
        assert gate.admission.held_count == 0

    async def test_one_that_leaves_while_it_waits_takes_nobodys_room(self) -> None:
        gate = Gate(limited(total=TEN))
        inside = ticket(10)
        await gate.enter(inside)
        for has_entered in (False, True):
            held = asyncio.create_task(gate.enter_in_turn(ticket(1), timeout_s=None))
            await turns()
            if has_entered:
                gate.leave(inside)
            held.cancel()
            with pytest.raises(asyncio.CancelledError):
                await held
        assert (gate.admission.held_count, gate.admission.total.samples) == (0, 0)
