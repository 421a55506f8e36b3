from __future__ import annotations

from typing import Any

import pytest

from rayreward.rewards import FinalAnswerReward
from rayreward.types import FailureKind

REWARD = FinalAnswerReward()


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        ("9 * 2 = 18\n#### 18", "18"),
        ("#### 1\nNo.\n####2", "2"),
        ("so \\boxed{12}.", "12"),
        (r"\boxed{\frac{1}{2}} is it", r"\frac{1}{2}"),
        (r"\boxed{a} \boxed{b", "a"),
        ("\\boxed{1} but\n#### 2", "2"),
        ("#### 2 but \\boxed{1}", "1"),
        ("#### \\boxed{3}", "3"),
        ("A: 7", "7"),
        ("So,\nAnswer: 7 eggs", "7 eggs"),
        ("The answer is 7. I used 2 steps.", "7"),
        ("the ANSWER is 3.5 m", "3.5 m"),
    ],
)
def test_the_last_marked_answer_counts(response: str, answer: str) -> None:
    assert REWARD(response=response, label=answer).reason == f"answered {answer}; wanted {answer}"


@pytest.mark.parametrize("response", ["seven", "", "\\boxed{", "boxed"])
def test_what_is_not_marked_is_no_answer(response: str) -> None:
    assert REWARD(response=response, label="7").reason == "no final answer found; wanted 7"


@pytest.mark.parametrize(
    ("label", "answer", "score"),
    [
        ("1,000", "1000.0", 1.0), ("$1,000.00", "1000", 1.0), ("1/2", ".5", 1.0), ("x = 5", "5", 1.0),
        ("18", "**18 eggs**", 1.0), ("Yes.", "yes", 1.0), ("3", r"\sqrt{3}", 0.0), ("18", "not 18", 0.0),
        ("1", "1, 2", 0.0), ("0." + "3" * 50, r"\frac{1}{3}", 0.0), ("5", "5%", 0.0),
    ],
)  # fmt: skip
def test_answers_are_compared_as_mathematics(label: str, answer: str, score: float) -> None:
    assert REWARD(response=f"#### {answer}", label=label).score == score


def test_score_and_reason() -> None:
    assert REWARD(response="#### 18", label="thus\nA: 18").score == 1.0
    assert REWARD(response="#### 18", label=18).score == 1.0
    wrong, missing = REWARD(response="#### 17", label="18"), REWARD(response="17", label="18")
    assert (wrong.score, wrong.reason) == (0.0, "answered 17; wanted 18")
    assert (missing.score, missing.reason) == (0.0, "no final answer found; wanted 18")


@pytest.mark.parametrize("label", [None, "", "  ", ".", "**"])
def test_without_a_label_nothing_is_scored(label: Any) -> None:
    failure = REWARD(response="#### ", label=label).failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_INPUT


@pytest.mark.parametrize(
    "response",
    ["\\boxed{" * 150_000, "#" * 1_000_000, "answer " * 150_000, "\n" + " " * 1_000_000, "answer is" + " " * 1_000_000],
    ids=["boxes", "hashes", "answers", "spaces", "is"],
)
def test_a_hostile_megabyte_is_just_another_response(response: str) -> None:
    assert REWARD(response=response, label="18").score == 0.0
