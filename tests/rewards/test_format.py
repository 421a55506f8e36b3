from __future__ import annotations

from typing import Any

import pytest

from rayreward import LocalClient
from rayreward.errors import ConfigError
from rayreward.rewards import FormatReward


@pytest.mark.parametrize(
    ("options", "response", "score"),
    [
        ({"required_sections": ["Introduction", "Conclusion"]}, "introduction … CONCLUSION", 1.0),
        ({"required_sections": ["Introduction", "Conclusion"]}, "Introduction", 0.5),
        ({"forbidden_patterns": ["I don't know", "As an AI"]}, "as an ai, I can", 0.5),
        ({"forbidden_patterns": [r"\d+"]}, "none", 1.0),
        ({"required_sections": ["A"], "forbidden_patterns": ["x"]}, "x", 0.0),
    ],
)
def test_is_the_share_of_rules_kept(options: dict[str, Any], response: str, score: float) -> None:
    assert FormatReward(**options)(response=response).score == score


def test_shows_which_rules_were_broken() -> None:
    _, components = FormatReward(["A", "B"], ["x", "y"])(response="a x")
    assert (components["sections"].score, components["sections"].reason) == (0.5, "missing: B")
    assert (components["forbidden"].score, components["forbidden"].reason) == (0.5, "found: x")


@pytest.mark.parametrize(
    "options",
    [
        {}, {"forbidden_patterns": ["("]}, {"required_sections": "Answer"}, {"required_sections": [3]},
        {"forbidden_patterns": [""]}, {"forbidden_patterns": "x"},
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        FormatReward(**options)


def test_a_pattern_that_takes_for_ever_is_killed() -> None:
    reward = FormatReward(forbidden_patterns=["(a+)+$"])
    reward.timeout_s = 1.0
    with LocalClient({"format": reward}) as client:
        slow, fine = client.score([{"response": "a" * 64 + "b"}, {"response": "b"}])
    assert slow.failure is not None
    assert fine.score == 1.0
    assert FormatReward(forbidden_patterns=["As an AI"]).isolation == "inline"
