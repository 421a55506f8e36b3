from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from rayreward.rewards import FinalAnswerReward
from rayreward.rewards.final_answer import extract_answer, normalise_answer
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
        ("The final answer is: 7.", "7."),
        ("The answer is 7. I used 2 steps.", "7"),
        ("the ANSWER is 3.5 m", "3.5 m"),
        ("seven", None),
        ("", None),
        ("\\boxed{", None),
        ("boxed", None),
    ],
)
def test_the_last_marked_answer_counts(response: str, answer: str | None) -> None:
    assert extract_answer(response) == answer


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1,000", "1000.0"), ("$1,000.00", "1000"), ("1/2", "0.5"), (r"\frac{1}{2}", ".5"), (r"-\dfrac{1}{2}", "-0.5"),
        (r"1\frac{1}{4}", "1.25"), ("18 eggs", "18"), ("5%", "5"), ("x = 5", "5"), ("**18**", "18"), ("+3", "3"),
        ("\N{MINUS SIGN}3", "-3"), ("Yes.", "yes"), ("a  b", "A b"), ("18.", "18"), ("10 / 4", "2.5"),
    ],
)  # fmt: skip
def test_equal_answers_are_equal(first: str, second: str) -> None:
    assert normalise_answer(first) == normalise_answer(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("3", r"\sqrt{3}"), ("3", r"3\pi"), ("2", "2x"), ("-5", "x-5"), ("18", "not 18"), ("1", "1, 2"), ("1", "1/0"),
        ("11/4", r"1\frac{1}{4}"), ("5", "5^2"), ("yes", "no"), ("1e3", "1"),
    ],
)  # fmt: skip
def test_others_are_not(first: str, second: str) -> None:
    assert normalise_answer(first) != normalise_answer(second)


def test_numbers_are_exact() -> None:
    assert normalise_answer("0." + "3" * 50) != Fraction(1, 3)
    assert normalise_answer("9" * 5000) == normalise_answer("9" * 200)


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
