"""Responses near a target length."""

from __future__ import annotations

import math
from typing import Literal

from rayreward.errors import ConfigError
from rayreward.function import Isolation, RewardFunction
from rayreward.types import RewardOutput, Trajectory


class LengthReward(RewardFunction):
    """1 at the target length, falling with the distance from it. Range [0, 1].

    Gaussian: ``exp(-((n - target) / tolerance)² / 2)``. Linear: ``1 - |n - target| / tolerance``, not below 0.
    What games it: padding; use it beside a reward for content.

    Args:
        target_length: in units; `target` is another name for it.
        tolerance: in units; one standard deviation (gaussian) or the distance at which it reaches 0 (linear).
        reward_type: "gaussian" or "linear".
        unit: "words" (split at white space) or "characters".

    Raises:
        ConfigError: no target, a tolerance that is not positive, or an unknown type or unit.

    Example:
        >>> LengthReward(target_length=2, tolerance=1)(response="two words").score
        1.0
    """

    isolation: Isolation = "inline"
    deterministic = True
    name = "length"

    def __init__(
        self,
        target_length: int | None = None,
        tolerance: float = 50,
        reward_type: Literal["gaussian", "linear"] = "gaussian",
        *,
        target: int | None = None,
        unit: Literal["words", "characters"] = "words",
    ) -> None:
        if target is not None and target_length is not None:
            raise ConfigError("LengthReward takes target_length or target (another name for it), not both")
        length = target_length if target is None else target
        if length is None or length < 0:
            raise ConfigError(f"LengthReward needs target_length, a number of {unit} from 0 up; found {length!r}")
        if not tolerance > 0:
            raise ConfigError(f"LengthReward needs a tolerance above 0, found {tolerance!r}")
        if reward_type not in ("gaussian", "linear"):
            raise ConfigError(f"LengthReward(reward_type={reward_type!r}): known are 'gaussian' and 'linear'")
        if unit not in ("words", "characters"):
            raise ConfigError(f"LengthReward(unit={unit!r}): known are 'words' and 'characters'")
        self.target_length, self.tolerance, self.reward_type, self.unit = length, tolerance, reward_type, unit

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The score of the response's length."""
        count = len(trajectory.response.split()) if self.unit == "words" else len(trajectory.response)
        distance = (count - self.target_length) / self.tolerance
        score = math.exp(-distance * distance / 2) if self.reward_type == "gaussian" else max(0.0, 1.0 - abs(distance))
        return RewardOutput(score, reason=f"{count} {self.unit}, target {self.target_length}")
