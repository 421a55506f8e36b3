"""rayreward: the reward plane for RL post-training.

Rewards become autoscaling Ray Serve deployments behind one batching router; trainers ask it for scores by HTTP, by
Ray handle or in process. Importing this package is light: no ray, no torch; names load when they are first used.

Example:
    >>> from rayreward import reward_function, RewardFunction
    >>> @reward_function
    ... def brevity(response, **kwargs):
    ...     return 1.0 if len(response) < 100 else 0.0
    >>> brevity.reward()(response="short").score
    1.0
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rayreward.client import HandleClient, HttpClient, LocalClient, RewardClient
    from rayreward.decorator import reward_function
    from rayreward.function import RewardFunction
    from rayreward.messages import Message
    from rayreward.sample import Sample, Trajectory
    from rayreward.spec import load_reward
    from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardInfo, RewardOutput, Timings

__version__ = "0.1.0"

_HOMES = {
    "Failure": "rayreward.types",
    "FailureKind": "rayreward.types",
    "HandleClient": "rayreward.client",
    "HttpClient": "rayreward.client",
    "LocalClient": "rayreward.client",
    "Message": "rayreward.messages",
    "MetricRewardOutput": "rayreward.types",
    "RewardClient": "rayreward.client",
    "RewardFunction": "rayreward.function",
    "RewardInfo": "rayreward.types",
    "RewardOutput": "rayreward.types",
    "Sample": "rayreward.sample",
    "Timings": "rayreward.types",
    "Trajectory": "rayreward.sample",
    "load_reward": "rayreward.spec",
    "reward_function": "rayreward.decorator",
}

__all__ = [
    "Failure",
    "FailureKind",
    "HandleClient",
    "HttpClient",
    "LocalClient",
    "Message",
    "MetricRewardOutput",
    "RewardClient",
    "RewardFunction",
    "RewardInfo",
    "RewardOutput",
    "Sample",
    "Timings",
    "Trajectory",
    "load_reward",
    "reward_function",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'rayreward' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
