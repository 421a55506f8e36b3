from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import pytest

from rayreward.errors import BackpressureError, ServiceUnavailableError
from rayreward.router.breaker import Breaker, BreakerPolicy, guarded, refusal
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from rayreward.types import FailureKind, RewardOutput
from tests.router.stages import failed, said, samples

POLICY = BreakerPolicy(failures_in_a_row=3, window_calls=10, window_share=0.5, pause_s=1.0, max_pause_s=4.0)


def note(breaker: Breaker, found: str) -> None:
    """One call a letter: ``+`` found the reward, ``-`` nobody."""
    for letter in found:
        assert breaker.admits()
        breaker.note(was_there=letter == "+")


class TestStates:
    def setup_method(self) -> None:
        self.clock = ManualClock()
        self.breaker = Breaker(POLICY, now=self.clock)

    def test_it_opens_after_so_many_calls_in_a_row(self) -> None:
        note(self.breaker, "--+--")
        assert self.breaker.state == "closed"
        note(self.breaker, "-")
        assert self.breaker.state == "open"
        assert not self.breaker.admits()
        assert (self.breaker.retry_in_s, self.breaker.opened_count) == (1.0, 1)

    def test_it_opens_when_too_large_a_share_of_the_latest_found_nobody(self) -> None:
        note(self.breaker, "+--++--++")
        assert self.breaker.state == "closed", "the window is not full"
        note(self.breaker, "-")
        assert self.breaker.state == "open"

    def test_after_the_pause_one_call_probes_and_closes_it(self) -> None:
        note(self.breaker, "---")
        self.clock.advance(1.0)
        assert (self.breaker.state, self.breaker.refuses) == ("half-open", False)
        assert self.breaker.admits()
        assert not self.breaker.admits(), "one probe at a time"
        self.breaker.note(was_there=True)
        assert self.breaker.state == "closed"
        note(self.breaker, "--")
        assert self.breaker.state == "closed", "it counts from the start again"

    def test_each_failed_probe_doubles_the_pause_up_to_a_bound(self) -> None:
        note(self.breaker, "---")
        pauses = []
        for _ in range(4):
            pauses.append(self.breaker.retry_in_s)
            self.clock.advance(self.breaker.retry_in_s)
            assert self.breaker.admits()
            self.breaker.note(was_there=False)
        assert pauses == [1.0, 2.0, 4.0, 4.0]
        assert self.breaker.opened_count == 1

    def test_a_probe_that_is_given_up_leaves_the_next_to_another(self) -> None:
        note(self.breaker, "---")
        self.clock.advance(1.0)
        assert self.breaker.admits()
        self.breaker.forget()
        assert self.breaker.admits()

    def test_calls_that_left_before_it_opened_change_no_pause_but_may_close_it(self) -> None:
        note(self.breaker, "---")
        self.breaker.note(was_there=False)
        assert self.breaker.retry_in_s == 1.0
        self.breaker.note(was_there=True)
        assert self.breaker.state == "closed"


def breaking(answer: Any) -> tuple[Breaker, list[int], Any]:
    breaker, sent = Breaker(POLICY, now=ManualClock()), list[int]()

    async def send(batch: list[Sample]) -> Sequence[RewardOutput]:
        sent.append(len(batch))
        if isinstance(answer, BaseException):
            raise answer
        return [answer] * len(batch)

    return breaker, sent, guarded(send, breaker)


async def call(send: Any) -> None:
    with contextlib.suppress(Exception):
        await send(samples("a", "b"))


@pytest.mark.parametrize(
    "answer",
    [
        ServiceUnavailableError("lost"),
        ConnectionResetError("gone"),
        TimeoutError("slow"),
        failed(FailureKind.UNAVAILABLE, "its worker cannot start"),
    ],
)
async def test_a_reward_that_is_not_there_opens_it_and_is_left_alone(answer: Any) -> None:
    breaker, sent, send = breaking(answer)
    for _ in range(5):
        await call(send)
    assert breaker.state == "open"
    assert sent == [2, 2, 2]
    assert said(await send(samples("a", "b"))) == ["unavailable"] * 2
    assert "asked again in 1.0 s" in str(refusal(breaker).failure)


@pytest.mark.parametrize(
    "answer",
    [
        RewardOutput(1.0),
        failed(FailureKind.ERROR),
        failed(FailureKind.CRASHED),
        failed(FailureKind.TIMEOUT),
        failed(FailureKind.INVALID_OUTPUT),
        ValueError("a sample that cannot be read"),
        BackpressureError("busy"),
    ],
)
async def test_what_an_authors_code_does_to_its_samples_never_opens_it(answer: Any) -> None:
    breaker, sent, send = breaking(answer)
    for _ in range(30):
        await call(send)
    assert breaker.state == "closed"
    assert len(sent) == 30


async def test_a_call_that_is_cancelled_says_nothing_of_the_reward() -> None:
    breaker, _, send = breaking(asyncio.CancelledError())
    for _ in range(5):
        with pytest.raises(asyncio.CancelledError):
            await send(samples("a"))
    assert breaker.state == "closed"


async def test_one_sample_that_was_answered_says_that_somebody_is_there() -> None:
    breaker = Breaker(POLICY, now=ManualClock())

    async def send(batch: list[Sample]) -> Sequence[RewardOutput]:
        return [failed(FailureKind.UNAVAILABLE), RewardOutput(1.0)]

    for _ in range(5):
        await guarded(send, breaker)(samples("a", "b"))
    assert breaker.state == "closed"
