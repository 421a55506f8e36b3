from __future__ import annotations

import math
from typing import Any

import pytest

from rayreward import RewardFunction
from rayreward.errors import ConfigError
from rayreward.rewards import CompositeReward, FinalAnswerReward, FormatReward, LengthReward
from rayreward.types import FailureKind

STEEP = {"at_correct": (2.0, 1.0), "at_wrong": (-10.0, 0.0), "exceeded": -10.0}


async def slow(response: str) -> float:
    return 1.0


both = CompositeReward({"answer": FinalAnswerReward(), "tags": FormatReward(tags=["think"])})


@pytest.mark.parametrize(
    ("options", "response", "score"),
    [
        ({"target_length": 3, "tolerance": 2}, "one two three", 1.0),
        ({"target": 3, "tolerance": 2}, "one", math.exp(-0.5)),
        ({"target": 3, "tolerance": 2, "reward_type": "linear"}, "one two", 0.5),
        ({"target": 3, "tolerance": 1, "reward_type": "linear"}, "one two three four five", 0.0),
        ({"target": 4, "tolerance": 1, "unit": "characters"}, "four", 1.0),
        ({"target": 4, "tolerance": 4, "unit": "characters", "reward_type": "linear"}, "", 0.0),
        ({"target": 0, "tolerance": 1}, "", 1.0),
        ({"target": 0, "tolerance": 1e-300}, "one", 0.0),
        ({"target": 0}, "word " * 100_000, 0.0),
    ],
)
def test_falls_with_the_distance_from_its_target(options: dict[str, Any], response: str, score: float) -> None:
    output = LengthReward(**options)(response=response)
    assert output.score == pytest.approx(score)
    assert output.reason is not None


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "needs target_length"),
        ({"target": -1}, "found -1"),
        ({"target": 1, "target_length": 1}, "not both"),
        ({"target": 1, "tolerance": 0}, "tolerance above 0"),
        ({"target": 1, "tolerance": math.nan}, "tolerance above 0"),
        ({"target": 1, "reward_type": "step"}, "'gaussian', 'linear' and 'cosine'"),
        ({"target": 1, "unit": "bytes"}, "'words', 'characters' and 'tokens'"),
        ({"target": 1, "tokenizer": "x"}, "means nothing there"),
        ({"target": 1, "max_length": 5}, "is of 'cosine'"),
        ({"reward_type": "cosine"}, "max_length from 1 up, found None"),
        ({"reward_type": "cosine", "max_length": 0}, "found 0"),
        ({"reward_type": "cosine", "max_length": True}, "found True"),
        ({"reward_type": "cosine", "max_length": 9, "target": 4}, "has no target"),
        ({"reward_type": "cosine", "max_length": 9, "correct_from": "metadat"}, "did you mean 'metadata'"),
        ({"reward_type": "cosine", "max_length": 9, "correct_from": 3}, "or a reward"),
        ({"reward_type": "cosine", "max_length": 9, "correct_from": "composite"}, "needs arguments"),
        ({"reward_type": "cosine", "max_length": 9, "correct_from": RewardFunction(func=slow)}, "a plain call"),
        ({"reward_type": "cosine", "max_length": 9, "correct_from": both}, "a plain call"),
        ({"reward_type": "cosine", "max_length": 9, "at_correct": (1, 2, 3)}, "two numbers each"),
        ({"reward_type": "cosine", "max_length": 9, "at_wrong": (math.nan, 0)}, "two numbers each"),
        ({"reward_type": "cosine", "max_length": 9, "at_wrong": 1}, "two numbers each"),
        ({"reward_type": "cosine", "max_length": 9, "exceeded": None}, "two numbers each"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        LengthReward(**options)


@pytest.mark.parametrize(
    ("words", "correct", "score"),
    [
        (0, True, 2.0), (5, True, 1.5), (10, True, -10.0), (11, True, -10.0), (1_000, True, -10.0),
        (0, False, -10.0), (5, False, -5.0), (10, False, -10.0), (11, False, -10.0),
        (2, True, 1 + (1 + math.cos(math.pi / 5)) / 2), (2, 1, 1 + (1 + math.cos(math.pi / 5)) / 2),
        (0, 0.5, 2.0), (0, 0.4, -10.0), (0, 0, -10.0),
    ],
)  # fmt: skip
def test_a_cosine_is_better_short_where_right_and_long_where_wrong(words: int, correct: Any, score: float) -> None:
    reward = LengthReward(reward_type="cosine", max_length=10, **STEEP)
    output = reward(response="word " * words, metadata={"correct": correct})
    assert output.score == pytest.approx(score)
    assert output.reason == f"{'correct' if correct >= 0.5 else 'wrong'}, {words} of 10 words"


def test_below_the_maximum_the_numbers_are_those_of_open_r1() -> None:
    reward = LengthReward(reward_type="cosine", max_length=100, unit="characters")
    for length in range(0, 100, 7):
        wave = math.cos(length / 100 * math.pi)
        right, wrong = (reward(response="c" * length, metadata={"correct": is_right}) for is_right in (True, False))
        assert right.score == pytest.approx(0.5 + 0.5 * (1.0 - 0.5) * (1.0 + wave))
        assert wrong.score == pytest.approx(-0.5 + 0.5 * (-1.0 - -0.5) * (1.0 + wave))


def test_the_label_may_say_what_is_correct() -> None:
    reward = LengthReward(reward_type="cosine", max_length=10, correct_from="label")
    assert reward(response="#### 4", label="4", metadata={"correct": False}).reason == "correct, 2 of 10 words"
    assert reward(response="#### 5", label="4", metadata={"correct": True}).reason == "wrong, 2 of 10 words"


@pytest.mark.parametrize(
    ("options", "fields", "named"),
    [
        ({}, {}, "'correct'"),
        ({}, {"label": "4"}, "'correct'"),
        ({}, {"metadata": {"correct": "yes"}}, "'yes'"),
        ({}, {"metadata": {"correct": math.nan}}, "'correct'"),
        ({"correct_from": "label"}, {"metadata": {"correct": True}}, "label"),
        ({"unit": "tokens"}, {"metadata": {"correct": True}}, "token_ids"),
    ],
)
def test_without_correctness_or_tokens_nothing_is_scored(
    options: dict[str, Any], fields: dict[str, Any], named: str
) -> None:
    failure = LengthReward(reward_type="cosine", max_length=10, **options)(response="#### 4", **fields).failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_INPUT
    assert named in failure.message


def test_tokens_are_the_samples_own() -> None:
    reward = LengthReward(3, 2, "linear", unit="tokens")
    assert reward(response="whatever it says", token_ids=[1, 2, 3]).score == 1.0
    assert reward(response="", token_ids=[1, 2]).score == 0.5


@pytest.mark.parametrize("unit", ["words", "characters"])
@pytest.mark.parametrize("part", [" ", "<", "<think>", "\ud800", "\0", "a "])
def test_a_million_characters_are_no_hang(part: str, unit: Any) -> None:
    response = part * (1_000_000 // len(part))
    assert LengthReward(3, unit=unit)(response=response).is_valid
    for source in ("metadata", "label"):
        reward = LengthReward(reward_type="cosine", max_length=9, unit=unit, correct_from=source)
        assert reward(response=response, label="4", metadata={"correct": True}).is_valid


@pytest.mark.parametrize("judge", ["final_answer", RewardFunction(func=lambda response, label: label in response)])
def test_any_reward_of_plain_calls_may_say_what_is_correct(judge: RewardFunction | str) -> None:
    reward = LengthReward(reward_type="cosine", max_length=10, correct_from=judge)
    right, wrong = (reward(response=f"#### {answer}", label="4") for answer in (4, 5))
    assert (right.metrics["correct"].score, wrong.metrics["correct"].score) == (1.0, 0.0)
    assert right.score == pytest.approx(-(wrong.score or 0.0), abs=0.1)


def test_without_the_judge_s_verdict_there_is_no_score() -> None:
    judge = RewardFunction(func=lambda response: float("nan"))
    failure = LengthReward(reward_type="cosine", max_length=10, correct_from=judge)(response="4").failure
    assert failure is not None
    assert (failure.kind, failure.component) == ("invalid_output", "correct")


def test_it_runs_where_its_judge_has_to() -> None:
    judge = RewardFunction(func=lambda response: 1.0, timeout_s=3)
    reward = LengthReward(reward_type="cosine", max_length=10, correct_from=judge)
    assert (reward.isolation, reward.timeout_s, reward.deterministic) == ("process", 3, False)
