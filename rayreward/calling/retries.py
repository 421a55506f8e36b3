"""Which failed requests deserve another try, and when.

What arrives: statuses, headers, an attempt to repeat. What leaves: its result, or the error of the last try. Waiting
grows from try to try and is drawn at random, so that many callers that failed together do not come back together; what
the service asks for (Retry-After) is never undercut. Nothing here knows a transport.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

T = TypeVar("T")

_FOR_NOW = frozenset({408, 409, 425, 429})
"""4xx statuses that a later try may not meet: a timeout, a lock, too early, too many. All others are the request's own
fault and will be so again."""

_FOR_EVER = frozenset({501, 505})
"""5xx statuses that say that the service cannot do it at all."""

MAX_RETRY_AFTER_S = 3600.0
"""What of a Retry-After is believed: a wrong clock there must not stop a judge for a year."""


def is_worth_another_try(status: int) -> bool:
    """Whether an HTTP status may be another one next time.

    Example:
        >>> [is_worth_another_try(status) for status in (400, 401, 429, 500, 501, 529)]
        [False, False, True, True, False, True]
    """
    return status in _FOR_NOW or (status >= 500 and status not in _FOR_EVER)


def read_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds out of a Retry-After header, which holds seconds or a date; None where it holds neither.

    Example:
        >>> read_retry_after("1.5"), read_retry_after("soon"), read_retry_after(None)
        (1.5, None, None)
        >>> read_retry_after("Thu, 01 Jan 2026 00:00:07 GMT", now=datetime(2026, 1, 1, tzinfo=UTC))
        7.0
    """
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(value)
        except ValueError:
            return None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        seconds = (moment - (now or datetime.now(UTC))).total_seconds()
    if seconds != seconds:  # "nan" is a float to Python
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently.

    Attributes:
        max_tries: the first one included.
        first_wait_s: about how long after the first failure.
        longest_wait_s: no wait of our own is longer; a Retry-After may be.

    Example:
        >>> [RetryPolicy().wait_s(tried, spread=1.0) for tried in (1, 2, 3, 9)]
        [0.5, 1.0, 2.0, 20.0]
        >>> RetryPolicy().wait_s(1, retry_after_s=7.0, spread=0.0)
        7.0
    """

    max_tries: int = 4
    first_wait_s: float = 0.5
    longest_wait_s: float = 20.0

    def wait_s(self, tried: int, *, retry_after_s: float | None = None, spread: float) -> float:
        """Seconds before the next try, after `tried` ones.

        Args:
            tried: at least 1.
            retry_after_s: what the service asked for; None or 0 where it named no time to come.
            spread: a random number from 0 to 1; our own waits lie between half and all of their length by it, and
                what the service asked for is lengthened by as much as a quarter.
        """
        if retry_after_s:  # "at once" is no time: all who failed together would be back together
            return retry_after_s * (1 + spread / 4)
        full_s = min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(tried - 1, 30))
        return full_s * (0.5 + spread / 2)


class WorthRetryingError(Exception):
    """What an attempt raises when another one may succeed.

    Attributes:
        error: what to raise when no try is left.
        retry_after_s: what the service asked for, None where it did not.
    """

    def __init__(self, error: Exception, retry_after_s: float | None = None) -> None:
        super().__init__(error, retry_after_s)
        self.error, self.retry_after_s = error, retry_after_s


async def persist(
    attempt: Callable[[], Awaitable[T]],
    policy: RetryPolicy,
    *,
    until_s: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    draw: Callable[[], float] = random.random,
) -> T:
    """Repeat `attempt` while it raises `WorthRetryingError`, tries are left, and the wait ends before `until_s`.

    Any other error passes. A wait that would outlast the deadline is not begun: its error is told at once.

    Raises:
        Exception: the last try's own `error`.
    """
    tried = 0
    while True:
        tried += 1
        try:
            return await attempt()
        except WorthRetryingError as again:
            wait_s = policy.wait_s(tried, retry_after_s=again.retry_after_s, spread=draw())
            if tried >= policy.max_tries or clock() + wait_s >= until_s:
                raise again.error from again.__cause__
        await sleep(wait_s)
