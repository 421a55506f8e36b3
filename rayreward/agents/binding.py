"""What a job tells the code that it uploads: who scores, and by which rules episodes are played.

What arrives: one environment variable. What leaves: a frozen `Binding`. The files that OpenRLHF loads take no
arguments, so this is all that they know.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field

from rayreward.errors import ConfigError
from rayreward.strict import StrictModel

VARIABLE = "RAYREWARD_BINDING"
"""The environment variable that holds a binding, as JSON."""

Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class Binding(StrictModel):
    """The reward of a training, and its environment where it has one.

    Example:
        >>> binding = Binding(reward="math", run="r1", environment="./math_retry.py::MathRetry")
        >>> Binding.from_env(binding.to_env()) == binding
        True
    """

    app: str = "auto"
    reward: str | None = Field(None, description="None is the application's main reward")
    run: str | None = None
    wait_s: float = Field(600.0, ge=0, description="how long samples wait for a reward that nobody answers for")
    timeout_s: Seconds = Field(300.0, description="of one sample's scoring")

    environment: str | None = Field(None, description="file.py::Name or package.module:Name; None: no episodes")
    args: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the environment")
    max_turns: Count = 4
    max_turn_tokens: Count | None = Field(None, description="of one response; None is the trainer's own limit")
    rewards: Literal["end", "step", "environment"] = "end"
    group: bool = Field(False, description="score all episodes of a prompt in one call")
    group_wait_s: Seconds = 120.0
    step_timeout_s: Seconds = 60.0

    @pydantic.model_validator(mode="after")
    def _groups_are_scored_at_the_end(self) -> Self:
        if self.group and self.rewards != "end":
            raise ValueError(f"group scores whole episodes together, and rewards is {self.rewards}: set it to end")
        return self

    def to_env(self) -> dict[str, str]:
        """The environment variable for the job's processes."""
        return {VARIABLE: self.model_dump_json()}

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """The binding of this process.

        Raises:
            ConfigError: the variable is missing, no JSON, or holds what no binding has.
        """
        text = (os.environ if environ is None else environ).get(VARIABLE)
        if text is None:
            raise ConfigError(
                f"{VARIABLE} is not set: this file runs inside a training that `rayreward jobs submit` has started; "
                "to use it elsewhere, put Binding(...).to_env() into the environment of its processes"
            )
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{VARIABLE} must hold JSON, found {text!r:.80} ({error})") from None
        return cls.parse(data, source=VARIABLE)
