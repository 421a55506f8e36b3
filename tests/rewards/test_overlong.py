from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.rewards import OverlongReward
from rayreward.types import FailureKind
from tests.models.tiny import make_tokenizer


@pytest.mark.parametrize(
    ("length", "score"), [(0, 0.0), (80, 0.0), (81, -0.05), (90, -0.5), (100, -1.0), (101, -1.0), (10_000, -1.0)]
)
def test_falls_in_a_line_over_the_cache(length: int, score: float) -> None:
    output = OverlongReward(100, 20)(response="", token_ids=[1] * length)
    assert output.score == pytest.approx(score)
    assert output.reason == f"{length} tokens, free up to 80, cut at 100"
    assert OverlongReward(100, 20, unit="words")(response="word " * length).score == pytest.approx(score)
    assert OverlongReward(100, 20, unit="characters")(response="c" * length).score == pytest.approx(score)


def test_without_a_cache_the_penalty_is_sudden() -> None:
    reward = OverlongReward(10, 0)
    assert [reward(response="", token_ids=[1] * length).score for length in (10, 11)] == [0.0, -1.0]


@pytest.mark.trl
def test_the_numbers_are_trls() -> None:
    from trl.rewards import get_soft_overlong_punishment

    ids = [[1] * length for length in range(0, 130, 3)]
    for limits in ((100, 20), (100, 0), (100, 100), (7, 3)):
        reward = OverlongReward(*limits)
        assert [reward(response="", token_ids=one).score for one in ids] == get_soft_overlong_punishment(*limits)(ids)


def test_a_tokenizer_counts_where_there_are_no_ids(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    make_tokenizer(tmp_path)
    reward = OverlongReward(10, 4, tokenizer=str(tmp_path))
    assert reward.isolation == "process"
    assert reward(response="one two three four five six seven eight").score == -0.5
    assert reward(response="\ud800").is_valid
    assert reward(response="x", token_ids=[1] * 9).score == -0.75
    assert pickle.loads(pickle.dumps(reward))(response="one").score == 0.0


def test_tokens_must_be_known() -> None:
    failure = OverlongReward(10, 4)(response="one").failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_INPUT


@pytest.mark.parametrize(
    ("arguments", "options", "reason"),
    [
        ((10, 11), {}, "0 <= cache_length <= max_length"),
        ((10, -1), {}, "0 <= cache_length"),
        ((0, 0), {}, "0 <= cache_length"),
        ((10.0, 1), {}, "whole lengths"),
        ((10, True), {}, "whole lengths"),
        ((10, 1), {"unit": "bytes"}, "'characters'"),
        ((10, 1), {"unit": "words", "tokenizer": "x"}, "means nothing there"),
    ],
)
def test_what_cannot_work_is_refused(arguments: tuple[Any, Any], options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        OverlongReward(*arguments, **options)


@pytest.mark.parametrize("part", [" ", "<", "{", "\ud800", "\x00"])
def test_a_million_characters_are_no_hang(part: str) -> None:
    assert OverlongReward(100, 20, unit="words")(response=part * 1_000_000).is_valid
