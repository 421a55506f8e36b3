import runpy
from pathlib import Path

import pytest

REWARDS = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "demo_rewards.py"))


@pytest.mark.parametrize(
    ("response", "digits", "length", "ending"),
    [
        ("12345678", 1.0, 1.0, 1.0),
        ("12345677", 1.0, 1.0, 0.0),
        ("1234", 1.0, 0.5, 1.0),
        ("12ab12ab12ab12ab", 0.5, 0.0, 0.0),
        ("x" * 40, 0.0, 0.0, 0.0),
        ("", 0.0, 0.0, 0.0),
        ("٤٤٤٤٤٤٤٤", 0.0, 1.0, 0.0),
    ],
)
def test_each_wish_is_scored_from_0_to_1(response: str, digits: float, length: float, ending: float) -> None:
    scores = [REWARDS[name](response) for name in ("digits", "length", "ending")]

    assert scores == [digits, length, ending]
