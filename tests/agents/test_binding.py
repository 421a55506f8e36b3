from __future__ import annotations

import pytest

from rayreward.agents.binding import VARIABLE, Binding
from rayreward.errors import ConfigError


def test_a_binding_travels_through_the_environment() -> None:
    binding = Binding(app="a", reward="r", run="1", environment="./e.py::E", args={"tries": 3}, max_turns=2, group=True)
    assert Binding.from_env(binding.to_env()) == binding


def test_outside_a_job_the_message_says_what_is_missing() -> None:
    with pytest.raises(ConfigError, match=r"RAYREWARD_BINDING is not set: .*rayreward jobs submit"):
        Binding.from_env({})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "must hold JSON"),
        ('{"enviroment": "x"}', "did you mean 'environment'"),
        ('{"max_turns": 0}', "max_turns"),
        ("[]", "RAYREWARD_BINDING"),
    ],
)
def test_what_no_binding_has_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Binding.from_env({VARIABLE: text})


def test_a_group_is_scored_at_its_end() -> None:
    with pytest.raises(ConfigError, match="set it to end"):
        Binding.parse({"group": True, "rewards": "step"}, source="test")
