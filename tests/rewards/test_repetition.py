from __future__ import annotations

import math
import random
from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.rewards import RepetitionReward
from rayreward.types import FailureKind


@pytest.mark.parametrize(
    ("options", "fields", "score"),
    [
        ({}, {"response": "one two three four"}, 0.0),
        ({}, {"response": "go go go go go"}, -2 / 3),
        ({"max_penalty": 3}, {"response": "go Go GO go go"}, -2.0),
        ({}, {"response": "one two"}, 0.0),
        ({}, {"response": ""}, 0.0),
        ({"ngram_size": 1, "unit": "characters"}, {"response": "aab"}, -1 / 3),
        ({"ngram_size": 2}, {"response": "x", "token_ids": [5, 5, 5, 5, 5]}, -0.75),
        ({"ngram_size": 2, "unit": "tokens"}, {"response": "x", "token_ids": [1, 2, 3, 4]}, 0.0),
        ({"ngram_size": 1, "unit": "words"}, {"response": "a b", "token_ids": [5, 5]}, 0.0),
        ({"max_penalty": 0}, {"response": "go go go go"}, 0.0),
    ],
)
def test_the_share_of_repeated_ngrams(options: dict[str, Any], fields: dict[str, Any], score: float) -> None:
    output = RepetitionReward(**options)(**fields)
    assert output.score == pytest.approx(score)
    assert math.copysign(1, output.score) == 1 or output.score < 0


@pytest.mark.trl
def test_the_numbers_are_trls() -> None:
    from trl.rewards import get_repetition_penalty_reward

    chance = random.Random(7)
    ids = [[chance.randrange(6) for _ in range(length)] for length in (0, 1, 2, 3, 10, 200)]
    for size in (1, 2, 3, 5):
        reward = RepetitionReward(size, 0.5)
        found = [reward(response="", token_ids=one).score for one in ids]
        assert found == get_repetition_penalty_reward(size, -0.5)(ids)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"ngram_size": 0}, "1 to 64"),
        ({"ngram_size": True}, "1 to 64"),
        ({"ngram_size": 2.0}, "1 to 64"),
        ({"max_penalty": -1.0}, "TRL's -1.0 is 1.0 here"),
        ({"max_penalty": math.nan}, "from 0 up"),
        ({"unit": "bytes"}, "'characters'"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        RepetitionReward(**options)


def test_tokens_must_be_there_where_they_are_asked_for() -> None:
    failure = RepetitionReward(unit="tokens")(response="a b c").failure
    assert failure is not None
    assert (failure.kind, "token_ids" in failure.message) == (FailureKind.INVALID_INPUT, True)


@pytest.mark.parametrize("unit", ["words", "characters"])
@pytest.mark.parametrize("part", [" ", "a ", "<", "{", "\ud800", "\x00"])
def test_a_million_characters_are_no_hang(unit: Any, part: str) -> None:
    assert RepetitionReward(unit=unit)(response=part * 500_000).is_valid
