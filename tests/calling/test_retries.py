from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rayreward.calling.retries import RetryPolicy, WorthRetryingError, is_worth_another_try, persist, read_retry_after
from rayreward.testing import ManualClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Attempts:
    """Fails by a script, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors, self.clock, self.slept = list(errors), ManualClock(), list[float]()

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    async def persist(self, until_s: float = 100.0, **options: int) -> str:
        return await persist(
            self, RetryPolicy(**options), until_s=until_s, clock=self.clock, sleep=self.sleep, draw=lambda: 1.0
        )


def again(retry_after_s: float | None = None) -> WorthRetryingError:
    return WorthRetryingError(ConnectionError("lost"), retry_after_s)


async def test_waits_grow_until_it_answers() -> None:
    attempts = Attempts(again(), again(), again())
    assert await attempts.persist() == "answer"
    assert attempts.slept == [0.5, 1.0, 2.0]


async def test_the_last_tries_own_error_is_raised() -> None:
    attempts = Attempts(again(), again())
    with pytest.raises(ConnectionError, match="lost"):
        await attempts.persist(max_tries=2)
    assert attempts.slept == [0.5]


async def test_what_the_service_asks_for_is_never_undercut() -> None:
    attempts = Attempts(again(retry_after_s=30))
    assert await attempts.persist() == "answer"
    assert attempts.slept[0] >= 30


async def test_a_wait_that_would_outlast_the_deadline_is_not_begun() -> None:
    attempts = Attempts(again(retry_after_s=30))
    with pytest.raises(ConnectionError):
        await attempts.persist(until_s=20)
    assert attempts.slept == []


async def test_other_errors_pass_at_once() -> None:
    attempts = Attempts(ValueError("the question itself"))
    with pytest.raises(ValueError, match="itself"):
        await attempts.persist()
    assert attempts.slept == []


def test_two_callers_do_not_come_back_together() -> None:
    waits = {RetryPolicy().wait_s(3, spread=spread) for spread in (0.0, 0.3, 1.0)}
    assert len(waits) == 3
    assert all(1.0 <= wait_s <= 2.0 for wait_s in waits)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0), ("-5", 0.0), ("12.5", 12.5), ("1e9", 3600.0), ("nan", None), ("", None), (None, None),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0), ("Wed, 31 Dec 2025 23:00:00 GMT", 0.0), ("tomorrow", None),
        ("Thu, 01 Jan 2026 00:00:30 -0000", 30.0),
    ],
)  # fmt: skip
def test_a_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert read_retry_after(header, NOW) == seconds


def test_what_may_be_otherwise_next_time() -> None:
    retried = {status for status in range(100, 600) if is_worth_another_try(status)}
    assert retried >= {408, 409, 425, 429, 500, 502, 503, 504, 529}
    assert not retried & {200, 302, 400, 401, 402, 403, 404, 413, 422, 501, 505}


def test_a_service_that_asks_for_no_time_gets_our_own() -> None:
    assert RetryPolicy().wait_s(2, retry_after_s=0.0, spread=1.0) == RetryPolicy().wait_s(2, spread=1.0) == 1.0
