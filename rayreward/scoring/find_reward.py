"""Which reward a name on the command line means.

What arrives: a built-in's name, an address, or a Python file alone. What leaves: a name or an address that
`rayreward.spec.load_reward` takes, or a `ConfigError` that lists what there is.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from rayreward.errors import ConfigError
from rayreward.function import RewardFunction
from rayreward.loading import load_object, names_in_file


def find_reward(where: str) -> str:
    """`where` itself, or, for a file alone, the address of the only reward in it.

    What counts in a file: functions marked by ``@reward_function``, rewards, and classes of rewards that it defines;
    where there are none, its public functions.

    Raises:
        ConfigError: the file has no reward, or several.
        RewardLoadError: the file is missing or cannot be imported.
    """
    if not where.endswith(".py"):
        return where
    rewards = rewards_in_file(where)
    if len(rewards) == 1:
        return f"{where}::{rewards[0]}"
    choices = ", ".join(f"{where}::{name}" for name in rewards)
    raise ConfigError(f"{where} has {len(rewards)} rewards; say which: {choices}")


def rewards_in_file(where: str) -> list[str]:
    """The names of the rewards that a Python file defines, in its order.

    Raises:
        ConfigError: it defines none.
        RewardLoadError: it is missing or cannot be imported.
    """
    defined = {name: load_object(f"{where}::{name}") for name in names_in_file(Path(where))}
    rewards = [name for name, value in defined.items() if _is_reward(value, where)]
    rewards = rewards or [name for name, value in defined.items() if _is_public_function(name, value, where)]
    if not rewards:
        raise ConfigError(f"{where} has no reward; write a function and mark it with @reward_function")
    return rewards


def _is_reward(value: Any, where: str) -> bool:
    if isinstance(value, type):
        return issubclass(value, RewardFunction) and _is_defined_in(value, where)
    return isinstance(value, RewardFunction) or (hasattr(value, "__rayreward__") and _is_defined_in(value, where))


def _is_public_function(name: str, value: Any, where: str) -> bool:
    return inspect.isfunction(value) and not name.startswith("_") and _is_defined_in(value, where)


def _is_defined_in(value: Any, where: str) -> bool:
    """Whether the code stands in that file: what a file imports is not its own."""
    try:
        return Path(inspect.getfile(inspect.unwrap(value))).resolve() == Path(where).resolve()
    except TypeError:
        return False
