from __future__ import annotations

import statistics

import pytest

from rayreward.scoring import Tally


def test_failures_are_counted_by_kind_and_are_in_no_mean() -> None:
    tally = Tally()
    for score in (1.0, 3.0, 5.0):
        tally.add(score, None, "v1")
    for kind in ("timeout", "timeout", "error"):
        tally.add(None, kind, "v1")
    summary = tally.summary(resumed=2, duration_s=2.0, out="out.jsonl")
    assert (summary.samples, summary.scored, summary.failed) == (6, 3, {"timeout": 2, "error": 1})
    assert (summary.mean, summary.min, summary.max) == (3.0, 1.0, 5.0)
    assert summary.std == pytest.approx(statistics.pstdev([1.0, 3.0, 5.0]))
    assert summary.samples_per_s == 2.0
    assert summary.versions == ["v1"]


def test_without_a_score_there_is_no_mean() -> None:
    tally = Tally()
    tally.add(None, "error", None)
    summary = tally.summary(resumed=0, duration_s=0.0, out="out.jsonl")
    assert (summary.mean, summary.std, summary.min, summary.max) == (None, None, None, None)


def test_the_spread_of_scores_far_from_zero_is_kept() -> None:
    tally = Tally()
    scores = [1e9 + step for step in (0.0, 1.0, 2.0)]
    for score in scores:
        tally.add(score, None, None)
    assert tally.summary(resumed=0, duration_s=1.0, out="").std == pytest.approx(statistics.pstdev(scores))
