from __future__ import annotations

from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.rewards import KeywordReward


@pytest.mark.parametrize(
    ("options", "response", "score"),
    [
        ({"required_keywords": ["because", "so"]}, "BECAUSE it is, so", 1.0),
        ({"required": ["because", "so"]}, "also because", 0.5),
        ({"required": ["because"], "required_keywords": ["so"]}, "so", 0.5),
        ({"required": ["c++", "(a)"]}, "c++ (a)", 1.0),
        ({"required": ["a"], "bonus_keywords": ["b"], "penalty_keywords": ["c"]}, "a b", 1.0),
        ({"required": ["a"], "penalty_keywords": ["c", "d"]}, "a c d", 0.8),
        ({"bonus_keywords": ["b"]}, "b", 0.6),
        ({"penalty_keywords": ["c"], "penalty_weight": 3}, "c", 0.0),
        ({"required": ["a"]}, "", 0.0),
    ],
)
def test_counts_whole_words(options: dict[str, Any], response: str, score: float) -> None:
    assert KeywordReward(**options)(response=response).score == pytest.approx(score)


def test_shows_what_it_found() -> None:
    _, components = KeywordReward(["a", "z"], ["b"], ["c"])(response="a c")
    assert components["required"].reason == "found: a"
    assert components["bonus"].reason == "found: none"
    assert components["penalty"].score == pytest.approx(-0.1)


@pytest.mark.parametrize(
    "options", [{}, {"required": "because"}, {"required": [""]}, {"required_keywords": [42]}, {"bonus_keywords": "a"}]
)
def test_what_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        KeywordReward(**options)
