from __future__ import annotations

from rayreward import FailureKind, RewardOutput
from rayreward.checking.answers import judge_answers, judge_range, measure_range
from rayreward.checking.subject import NOT_TRIED

NAN = RewardOutput.failed(FailureKind.INVALID_OUTPUT, "score must be finite, found nan")
ABSTAINED = RewardOutput()
NAMES = ("line 1", "line 2", "line 3")


def test_failures_are_counted_by_kind_and_the_first_is_shown() -> None:
    finding = judge_answers([RewardOutput(1.0), NAN, NAN], NAMES)
    assert finding.level == "wrong"
    assert finding.found == (
        "1 of 3 real responses have a score; 2 invalid_output; line 2: score must be finite, found nan"
    )


def test_a_reward_may_abstain_but_not_always() -> None:
    assert judge_answers([RewardOutput(1.0), ABSTAINED, ABSTAINED], NAMES).level == "note"
    assert judge_answers([ABSTAINED] * 3, NAMES).level == "wrong"
    assert judge_answers([RewardOutput(1.0)] * 3, NAMES).level == "ok"


def test_the_range_is_of_valid_scores_only() -> None:
    found = measure_range([RewardOutput(1.0), NAN, RewardOutput(0.5)])
    assert found is not None
    assert (found.scored, found.min, found.mean, found.max) == (2, 0.5, 0.75, 1.0)
    assert judge_range(found).level == "ok"
    assert measure_range([NAN]) is None
    assert judge_range(None).level == "skipped"


def test_a_reward_that_cannot_tell_responses_apart_is_worth_a_note() -> None:
    assert judge_range(measure_range([RewardOutput(0.5)] * 3)).level == "note"


def test_what_was_not_tried_is_said_to_be_so() -> None:
    hung = RewardOutput.failed(FailureKind.TIMEOUT, "no answer within 1 s")
    finding = judge_answers([hung, NOT_TRIED, NOT_TRIED], NAMES)
    assert finding.level == "wrong"
    assert finding.found == "0 of 3 real responses have a score; 2 not tried, 1 timeout; line 1: no answer within 1 s"
