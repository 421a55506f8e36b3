from __future__ import annotations

import pytest

from rayreward import Sample
from rayreward.errors import ConfigError
from rayreward.rewards import BUILTINS, FunctionReward
from rayreward.sample import Trajectory


def test_hands_the_whole_sample_over() -> None:
    def scorer(trajectory: Trajectory) -> tuple[float, dict[str, float]]:
        return float(trajectory.response == trajectory.label), {"prompt": len(trajectory.prompt)}

    score, components = FunctionReward(fn=scorer)(prompt="q", response="4", label="4")
    assert (score, components["prompt"].score) == (1.0, 1.0)
    assert FunctionReward(fn=scorer).name == "scorer"


def test_takes_an_async_function() -> None:
    async def scorer(trajectory: Trajectory) -> float:
        return 1.0

    assert FunctionReward(fn=scorer).is_async
    assert FunctionReward(fn=scorer).score([Sample(response="a")])[0].score == 1.0


def test_refuses_what_is_no_function() -> None:
    with pytest.raises(ConfigError, match="needs a function, found int"):
        FunctionReward(fn=3)  # type: ignore[arg-type]


def test_every_builtin_has_the_name_that_it_is_found_by() -> None:
    assert {name: reward.name for name, reward in BUILTINS.items()} == {name: name for name in BUILTINS}
