from __future__ import annotations

import math
from typing import Any

import pytest

from rayreward.agents import Environment, Turn
from rayreward.errors import InvalidOutputError


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"feedback": None}, "feedback must be str"),
        ({"done": "yes"}, "done must be bool"),
        ({"metadata": [1]}, "metadata must be Mapping"),
        ({"role": 1}, "role must be str | None"),
        ({"reward": math.inf}, "reward must be finite"),
        ({"reward": "high"}, "reward must be a number"),
    ],
)
def test_a_turn_of_wrong_values_is_refused_where_the_author_makes_it(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOutputError, match=message.replace("|", r"\|")):
        Turn(**values)


def test_numbers_of_arrays_are_taken() -> None:
    numpy = pytest.importorskip("numpy")
    turn = Turn(done=numpy.bool_(True), reward=numpy.float32(0.5))
    assert (turn.done, turn.reward) == (True, 0.5)
    assert type(turn.done) is bool


def test_an_environment_needs_a_step() -> None:
    with pytest.raises(TypeError, match="step"):
        Environment()  # type: ignore[abstract]
