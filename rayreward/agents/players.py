"""Environments as episodes see them.

What arrives: the class that a job names. What leaves: one `Player` an episode, which calls the author's methods off
the event loop and within their time, and says what they returned when it is of a wrong type. What can be known before
the first episode (the address, the constructor's arguments) is refused at once: it would fail all of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from rayreward.agents.binding import Binding
from rayreward.agents.calling import Caller
from rayreward.agents.environment import Environment, Turn
from rayreward.agents.episode import Player, Step
from rayreward.agents.legacy import InstancePlayer, instance_class
from rayreward.errors import ConfigError, InvalidOutputError, shown
from rayreward.loading import load_object
from rayreward.trainers.openrlhf import strip_end_tokens


class EnvironmentPlayer:
    """An `Environment` of its own for one episode.

    Args:
        make: builds it.
        caller: calls its methods.
    """

    def __init__(self, make: Callable[[], Environment], caller: Caller) -> None:
        self._make, self._caller = make, caller
        self._environment: Environment | None = None

    async def reset(self, prompt: str, label: Any) -> str | None:
        """The environment's first words."""
        environment: Environment = await self._caller.call(self._make)
        self._environment = environment
        observation = await self._caller.call(environment.reset, prompt, label)
        if observation is not None and not isinstance(observation, str):
            raise InvalidOutputError(f"reset must return the first text or None, found {shown(observation)}")
        return observation

    async def step(self, states: Mapping[str, Any]) -> Step:
        """The environment's turn."""
        if self._environment is None:
            raise RuntimeError("an environment was asked to step before its reset; this is a bug in rayreward")
        turn = await self._caller.call(self._environment.step, strip_end_tokens(states["action_text"]))
        if not isinstance(turn, Turn):
            raise InvalidOutputError(f"step must return a Turn, found {shown(turn)}")
        return Step(turn)

    async def close(self) -> None:
        """Close it where it has something to close."""
        environment = self._environment
        if environment is not None and type(environment).close is not Environment.close:
            await self._caller.call(environment.close)


def load_class(address: str) -> type:
    """The class that a job's ``agent.environment`` names.

    Raises:
        RewardLoadError: it cannot be found.
        ConfigError: it is no class.
    """
    found = load_object(address)
    if not isinstance(found, type):
        raise ConfigError(f"agent.environment {address!r} must name a class, found {shown(found)}")
    return found


def build_players(binding: Binding, caller: Caller) -> Callable[[], Player]:
    """What makes a player for each episode.

    Raises:
        RewardLoadError: the environment cannot be loaded.
        ConfigError: it is none, or cannot be made of the job's arguments.
    """
    if binding.environment is None:
        raise ConfigError("episodes need an environment: set agent.environment to file.py::Name")
    found = load_class(binding.environment)
    instance = instance_class(found)
    if instance is not None:
        _check_arguments(instance, binding)
        return lambda: InstancePlayer(instance, binding.args, caller)
    if not issubclass(found, Environment) or inspect.isabstract(found):
        raise ConfigError(
            f"agent.environment {binding.environment!r} must be a subclass of rayreward.agents.Environment with a step"
        )
    _check_arguments(found, binding)

    def make() -> Environment:
        return found(**binding.args)

    return lambda: EnvironmentPlayer(make, caller)


def _check_arguments(found: type, binding: Binding) -> None:
    try:
        inspect.signature(found).bind(**binding.args)
    except TypeError as error:
        raise ConfigError(f"agent.args do not fit {binding.environment}: {error}, found {binding.args}") from None
