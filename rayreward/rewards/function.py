"""A reward from a function of the whole sample."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rayreward.errors import ConfigError
from rayreward.function import Isolation, RewardFunction
from rayreward.sample import Trajectory


class FunctionReward(RewardFunction):
    """What `fn(trajectory)` returns. For functions that take fields by name, use `RewardFunction(func=…)`.

    Example:
        >>> FunctionReward(fn=lambda trajectory: len(trajectory.response))(response="four").score
        4.0
    """

    def __init__(self, fn: Callable[[Trajectory], Any], *, isolation: Isolation = "process") -> None:
        if not callable(fn):
            raise ConfigError(f"FunctionReward needs a function, found {type(fn).__name__}")
        self.fn, self.isolation = fn, isolation
        self.name = getattr(fn, "__name__", "function")

    @property
    def is_async(self) -> bool:
        """Whether the function is ``async def``."""
        return inspect.iscoroutinefunction(self.fn)

    def compute_reward(self, trajectory: Trajectory) -> Any:
        """What the function returns; it may be an awaitable."""
        return self.fn(trajectory)
