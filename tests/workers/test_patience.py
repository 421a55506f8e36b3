from __future__ import annotations

import pytest

from rayreward.workers.patience import LEAST_S, MOST_ASIDE, Patience


def test_of_quick_samples_it_is_short_and_of_slow_ones_it_grows() -> None:
    patience = Patience()
    assert patience.limit_s == LEAST_S
    patience.note(10_000, took_s=1.0)
    assert patience.limit_s == LEAST_S
    for _ in range(200):
        patience.note(1, took_s=2.0)
    assert patience.limit_s == pytest.approx(8.0, rel=0.1)


def test_a_slow_one_among_many_quick_ones_is_none_that_is_usual() -> None:
    patience = Patience()
    for _ in range(100):
        patience.note(1, took_s=0.001)
    patience.note(1, took_s=2.0)
    assert patience.limit_s == LEAST_S
    patience.note(0, took_s=0.0)
    assert patience.limit_s == LEAST_S


def test_no_more_are_set_aside_than_it_allows_until_one_comes_back() -> None:
    patience = Patience()
    for _ in range(MOST_ASIDE):
        assert patience.allows_another
        patience.set_aside()
    assert not patience.allows_another
    patience.come_back()
    assert patience.allows_another


def test_the_first_sample_of_a_process_has_longer_until_it_is_known_what_that_takes() -> None:
    patience = Patience()
    assert patience.first_limit_s > patience.limit_s
    patience.note_first(0.001)
    assert patience.first_limit_s == patience.limit_s
    patience.note_first(5.0)
    assert patience.first_limit_s > 5.0
    assert patience.limit_s == LEAST_S
