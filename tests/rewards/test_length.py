from __future__ import annotations

import math
from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.rewards import LengthReward


@pytest.mark.parametrize(
    ("options", "response", "score"),
    [
        ({"target_length": 3, "tolerance": 2}, "one two three", 1.0),
        ({"target": 3, "tolerance": 2}, "one", math.exp(-0.5)),
        ({"target": 3, "tolerance": 2, "reward_type": "linear"}, "one two", 0.5),
        ({"target": 3, "tolerance": 1, "reward_type": "linear"}, "one two three four five", 0.0),
        ({"target": 4, "tolerance": 1, "unit": "characters"}, "four", 1.0),
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
        ({"target": 1, "reward_type": "step"}, "'gaussian' and 'linear'"),
        ({"target": 1, "unit": "tokens"}, "'words' and 'characters'"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        LengthReward(**options)
