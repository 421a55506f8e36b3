"""A check from beginning to end, for code that is not async: what the command line and the pytest plugin share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from rayreward.checking.check import CheckOptions, check_reward
from rayreward.checking.material import read_material
from rayreward.checking.report import Report
from rayreward.client.sync import run_sync
from rayreward.errors import ConfigError
from rayreward.function import RewardFunction
from rayreward.scoring import Columns
from rayreward.scoring.find_reward import find_reward
from rayreward.spec import load_reward

LIMIT = 200
"""Samples: a check scores each about twenty times, with its own response and with cheap ones."""


def reward_of(given: Any, args: Mapping[str, Any] | None = None) -> RewardFunction:
    """The reward that a function, a reward, a class of rewards, an address or a built-in's name means.

    Raises:
        ConfigError: it means none, or its arguments do not fit.
        RewardLoadError: nothing is found there.

    Example:
        >>> reward_of(lambda response: 1.0)(response="4").score
        1.0
    """
    if isinstance(given, str):
        return load_reward(find_reward(given), args)
    if isinstance(given, RewardFunction):
        if args:
            raise ConfigError(f"a reward that is made already takes no arguments, found {sorted(args)}")
        return given
    if isinstance(given, type) and issubclass(given, RewardFunction):
        return given(**(args or {}))
    return RewardFunction(func=given, **(args or {}))


def check_file(
    reward: RewardFunction,
    data: Path,
    options: CheckOptions,
    *,
    columns: Columns | None = None,
    limit: int = LIMIT,
    tell: Callable[[str], None] = lambda _line: None,
) -> Report:
    """Check `reward` with up to `limit` samples of a file; may be called where an event loop runs.

    Raises:
        ConfigError: the file cannot be used.
        RewardLoadError: the reward cannot be loaded in a process of its own.
    """
    material = read_material(data, columns or Columns(), limit=limit, by_group=reward.compares_groups)
    return run_sync(check_reward(reward, material, options, tell=tell))


@contextmanager
def module_sent_by_value(module: ModuleType | None) -> Iterator[None]:
    """Lets the functions of a test's own module travel: with pytest's importlib mode no other process finds it."""
    if module is None:
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)
