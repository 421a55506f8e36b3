from __future__ import annotations

import pytest

from rayreward.calling.limits import Pace, TokenBucket
from rayreward.errors import BackpressureError, ConfigError
from rayreward.testing import ManualClock


def test_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    bucket = TokenBucket(120, burst=3, clock=ManualClock())
    assert [bucket.take(1) for _ in range(6)] == [0, 0, 0, 0.5, 1.0, 1.5]


def test_an_idle_time_fills_no_more_than_the_burst() -> None:
    clock = ManualClock()
    bucket = TokenBucket(60, burst=2, clock=clock)
    clock.advance(3600)
    assert [bucket.take(1) for _ in range(3)] == [0, 0, 1.0]


def test_over_ten_minutes_the_rate_holds_however_it_is_asked() -> None:
    clock = ManualClock()
    bucket = TokenBucket(600, clock=clock)
    started = 0
    while clock() < 600:
        wait_s = bucket.take(1)
        clock.advance(wait_s or 0.01)
        started += 1
    assert 6000 <= started <= 6000 + 50 + 1


def test_more_than_the_burst_is_served_and_paid_for_by_those_after_it() -> None:
    bucket = TokenBucket(60, burst=2, clock=ManualClock())
    assert bucket.take(10) == 0
    assert bucket.take(1) == 9.0


def test_what_was_not_used_comes_back_and_what_was_used_beyond_is_owed() -> None:
    clock = ManualClock()
    pace = Pace(tokens_per_minute=6000, clock=clock)
    assert pace.take(tokens=500) == 0
    assert pace.take(tokens=500) == 5.0
    pace.settle(expected_tokens=500, used_tokens=0)
    assert pace.take(tokens=500) == 5.0
    pace.settle(expected_tokens=500, used_tokens=700)
    assert pace.take(tokens=500) == 12.0


def test_both_limits_hold_and_the_narrower_one_decides() -> None:
    pace = Pace(requests_per_minute=60, tokens_per_minute=6000, clock=ManualClock())
    assert [pace.take(tokens=1000) for _ in range(3)] == [0, 10.0, 20.0]


def test_a_turn_too_far_away_is_refused_by_name_and_takes_nothing() -> None:
    pace = Pace(requests_per_minute=6, max_wait_s=15, clock=ManualClock())
    assert [pace.take() for _ in range(2)] == [0, 10.0]
    for _ in range(3):
        with pytest.raises(BackpressureError, match="20 s away by its requests a minute") as refused:
            pace.take()
        assert refused.value.retry_after_s == 20.0


def test_a_pause_holds_everybody_and_ends_by_itself() -> None:
    clock = ManualClock()
    pace = Pace(clock=clock)
    pace.pause(8, "Retry-After")
    pace.pause(3, "a shorter one changes nothing")
    assert pace.take() == 8.0
    clock.advance(8)
    assert pace.take() == 0.0


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_that_lets_nobody_through_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match="a minute"):
        TokenBucket(rate)
