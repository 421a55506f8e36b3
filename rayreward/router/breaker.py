"""Stops asking a reward that does not answer, and finds out when it does again.

What arrives: for each call, whether the reward was there to answer. What leaves: whether the next call may go. Closed:
every call goes. Open, after several calls in a row or too large a share of the latest found nobody: none goes, and
samples fail at once as `unavailable` instead of each waiting for its own disappointment. Half open, after a pause that
doubles: one call goes and decides.

Only what the reward's absence explains counts: a call that lost every replica it was sent to, that raised a timeout,
or whose samples were all answered `unavailable`. What an author's code does to its samples never opens the breaker: an
`error`, a `crashed` or a `timeout` of a sample is an answer, and a policy that learns to write endless loops would
otherwise switch off the reward that punishes them.

The state machine is pure; `guarded` is its shell around a call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rayreward.errors import BackpressureError, ServiceUnavailableError
from rayreward.router.coalescer import Send
from rayreward.router.terms import Clock
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput

State = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to stop asking, and for how long.

    Attributes:
        failures_in_a_row: calls. Each has been sent to several replicas already, over some seconds.
        window_calls: the latest calls that a share is taken over, once there are so many.
        window_share: of them that found nobody.
        pause_s: before the first probe; each failed probe doubles it.
        max_pause_s: and no pause is longer.
    """

    failures_in_a_row: int = 5
    window_calls: int = 20
    window_share: float = 0.5
    pause_s: float = 1.0
    max_pause_s: float = 30.0


class Breaker:
    """One reward's.

    Example:
        >>> time_s = 0.0
        >>> breaker = Breaker(BreakerPolicy(failures_in_a_row=2), now=lambda: time_s)
        >>> for _ in range(2):
        ...     breaker.note(was_there=False)
        >>> breaker.state, breaker.admits()
        ('open', False)
        >>> time_s = 1.0
        >>> breaker.admits(), breaker.admits()  # one probe
        (True, False)
        >>> breaker.note(was_there=True)
        >>> breaker.state
        'closed'
    """

    def __init__(self, policy: BreakerPolicy, *, now: Clock) -> None:
        self._policy, self._now = policy, now
        self._latest: deque[bool] = deque(maxlen=policy.window_calls)
        self._in_a_row = 0
        self._probe_at_s: float | None = None
        self._pause_s = policy.pause_s
        self._is_probing = False
        self.opened_count = 0

    @property
    def state(self) -> State:
        """Whether calls go, none does, or one may."""
        if self._probe_at_s is None:
            return "closed"
        return "half-open" if self._is_probing or self._now() >= self._probe_at_s else "open"

    @property
    def retry_in_s(self) -> float:
        """Seconds until the next probe; 0 where calls go or one is under way."""
        return 0.0 if self._probe_at_s is None else max(0.0, self._probe_at_s - self._now())

    @property
    def refuses(self) -> bool:
        """Whether a sample that comes now would fail at once: the pause lasts."""
        return self.state == "open"

    def admits(self) -> bool:
        """Whether this call may go; a True must be followed by `note` or `forget`."""
        if self._probe_at_s is None:
            return True
        if self._is_probing or self._now() < self._probe_at_s:
            return False
        self._is_probing = True
        return True

    def note(self, *, was_there: bool) -> None:
        """What a call has found."""
        self._latest.append(was_there)
        self._in_a_row = 0 if was_there else self._in_a_row + 1
        if was_there and self._probe_at_s is not None:
            self._close()
        elif self._is_probing:
            self._pause_s = min(2 * self._pause_s, self._policy.max_pause_s)
            self._open()
        elif self._probe_at_s is None and self._is_too_much():
            self._open()

    def forget(self) -> None:
        """A call that was given up says nothing of the reward; another may probe."""
        self._is_probing = False

    def _is_too_much(self) -> bool:
        if self._in_a_row >= self._policy.failures_in_a_row:
            return True
        is_full = len(self._latest) == self._policy.window_calls
        return is_full and self._latest.count(False) >= self._policy.window_share * len(self._latest)

    def _open(self) -> None:
        self.opened_count += not self._is_probing
        self._is_probing = False
        self._probe_at_s = self._now() + self._pause_s

    def _close(self) -> None:
        self._probe_at_s, self._is_probing, self._pause_s = None, False, self._policy.pause_s
        self._latest.clear()
        self._in_a_row = 0


def refusal(breaker: Breaker) -> RewardOutput:
    """The output of a sample that comes while the breaker is open."""
    text = f"no replica of this reward answers; it is asked again in {breaker.retry_in_s:.1f} s"
    return RewardOutput.failed(FailureKind.UNAVAILABLE, text)


def guarded(send: Send, breaker: Breaker) -> Send:
    """`send` while the breaker lets calls go; else every sample fails at once."""

    async def send_guarded(batch: list[Sample]) -> Sequence[RewardOutput]:
        if not breaker.admits():
            return [refusal(breaker)] * len(batch)
        try:
            outputs = await send(batch)
        except asyncio.CancelledError:
            breaker.forget()
            raise
        except Exception as error:
            breaker.note(was_there=not _is_absence(error))
            raise
        breaker.note(was_there=not _is_all_unavailable(outputs))
        return outputs

    return send_guarded


def _is_absence(error: Exception) -> bool:
    if isinstance(error, BackpressureError):
        return False  # it is there, and busy
    return isinstance(error, (ServiceUnavailableError, ConnectionError, TimeoutError))


def _is_all_unavailable(outputs: Sequence[RewardOutput]) -> bool:
    return isinstance(outputs, Sequence) and bool(outputs) and all(map(_is_unavailable, outputs))


def _is_unavailable(output: RewardOutput) -> bool:
    failure = output.failure if isinstance(output, RewardOutput) else None
    return failure is not None and failure.kind is FailureKind.UNAVAILABLE
