"""How fast a service may be asked: requests and tokens a minute, and pauses that it asked for.

What arrives: amounts, and an injected clock. What leaves: seconds to wait before one's turn. Turns are given in the
order in which they are asked for. Nothing here sleeps or sends.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from rayreward.errors import BackpressureError, ConfigError

Clock = Callable[[], float]
"""Seconds, from any moment on, never going back."""

BURST_S = 5.0
"""Seconds of a rate that may be used at once after a pause. Providers count by the minute or by the second; a twelfth
of a minute is safe with both, and a trainer's burst still starts at once."""


class TokenBucket:
    """A rate with a small reserve, as a debt: whoever takes more than there is waits until it has been refilled.

    Args:
        per_minute: how much flows in.
        burst: how much may be taken at once; what flows in within `BURST_S` seconds, at least 1, by default.
        clock: the time in seconds.

    Example:
        >>> bucket = TokenBucket(60, burst=1, clock=lambda: 0.0)
        >>> bucket.take(1), bucket.take(1), bucket.take(1)
        (0.0, 1.0, 2.0)
    """

    def __init__(self, per_minute: float, *, burst: float | None = None, clock: Clock = time.monotonic) -> None:
        if not (per_minute > 0 and math.isfinite(per_minute)):
            raise ConfigError(f"a rate needs more than 0 a minute, found {per_minute!r}; leave it out for no limit")
        self._per_s = per_minute / 60
        self._burst = max(1.0, self._per_s * BURST_S) if burst is None else burst
        self._clock = clock
        self._level, self._filled_at = self._burst, clock()

    def wait_s(self, amount: float) -> float:
        """Seconds until `amount` could be used, were it taken now.

        More than the burst is never refused, since it would never fit: it goes when the bucket is full, and leaves a
        debt to those who come after.
        """
        self._refill()
        missing = min(amount, self._burst) - self._level
        return max(0.0, missing / self._per_s)

    def take(self, amount: float) -> float:
        """Take `amount`; the seconds to wait before using it."""
        wait_s = self.wait_s(amount)
        self._level -= amount
        return wait_s

    def give_back(self, amount: float) -> None:
        """Return what was taken and not used; a negative amount is what was used beyond it."""
        self._refill()
        self._level = min(self._burst, self._level + amount)

    def _refill(self) -> None:
        now_s = self._clock()
        self._level = min(self._burst, self._level + (now_s - self._filled_at) * self._per_s)
        self._filled_at = now_s


class Pace:
    """When the next request to one service may leave.

    Args:
        requests_per_minute: None for no limit.
        tokens_per_minute: of prompt and reply together; None for no limit.
        max_wait_s: a turn that is further away is refused.
        clock: the time in seconds.

    Example:
        >>> pace = Pace(requests_per_minute=60, max_wait_s=30, clock=lambda: 0.0)
        >>> [pace.take(tokens=100) for _ in range(7)]
        [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0]
    """

    def __init__(
        self,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        max_wait_s: float = 600.0,
        clock: Clock = time.monotonic,
    ) -> None:
        self._requests = None if requests_per_minute is None else TokenBucket(requests_per_minute, clock=clock)
        self._tokens = None if tokens_per_minute is None else TokenBucket(tokens_per_minute, clock=clock)
        self._max_wait_s, self._clock = max_wait_s, clock
        self._paused_until = -math.inf
        self._reason = ""

    def take(self, *, tokens: float = 0.0) -> float:
        """Take a turn for a request of about so many tokens; the seconds to wait before sending it.

        Raises:
            BackpressureError: the turn is more than `max_wait_s` away; nothing is taken.
        """
        limits: list[tuple[str, TokenBucket, float]] = []
        if self._requests is not None:
            limits.append(("its requests a minute", self._requests, 1.0))
        if self._tokens is not None:
            limits.append(("its tokens a minute", self._tokens, tokens))
        waits = [(bucket.wait_s(amount), name) for name, bucket, amount in limits]
        waits.append((self._paused_until - self._clock(), self._reason))
        wait_s, name = max(waits)
        if wait_s > self._max_wait_s:
            raise BackpressureError(
                f"the next turn is {wait_s:.0f} s away by {name}, and {self._max_wait_s:g} s is waited at most: "
                f"ask less at once, or raise the limit",
                retry_after_s=wait_s,
            )
        for _, bucket, amount in limits:
            bucket.take(amount)
        return max(0.0, wait_s)

    def settle(self, *, expected_tokens: float, used_tokens: float) -> None:
        """Correct a turn's tokens once the service has counted them."""
        if self._tokens is not None:
            self._tokens.give_back(expected_tokens - used_tokens)

    def pause(self, seconds: float, reason: str) -> None:
        """Let nobody go for so long, since the service said so."""
        until = self._clock() + seconds
        if until > self._paused_until:
            self._paused_until, self._reason = until, reason
