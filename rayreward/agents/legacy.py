"""Agents that were written for OpenRLHF itself, as players of episodes.

What arrives: a class that a job names: an ``AgentInstance`` of today's form (`reset` and `step` on dicts of states),
one of OpenRLHF 0.8's form (with ``async def __init__``), or an ``AgentExecutor`` of 0.8, which only ties such an
instance to arguments that no longer exist. What leaves: a `Player`. The author's code runs as it was written; its
rewards count where the job says ``rewards: environment``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

from openrlhf.utils.agent import AgentExecutorBase, AgentInstanceBase

from rayreward.agents.calling import Caller
from rayreward.agents.environment import Turn
from rayreward.agents.episode import Step
from rayreward.errors import ConfigError, InvalidOutputError, shown
from rayreward.outcome import FILTER_SCORE
from rayreward.types import finite_score

INSTANCE = "AgentInstance"
"""What OpenRLHF's documentation calls the class beside an executor."""

_PASSED = ("sampling_params", "environment_images")
"""What an instance may tell OpenRLHF's loop beside feedback and reward."""


def is_whole_executor(found: type) -> bool:
    """Whether `found` is an executor that OpenRLHF can make as it is: without arguments."""
    return issubclass(found, AgentExecutorBase) and not inspect.isabstract(found) and _takes_nothing(found)


def instance_class(found: type) -> type | None:
    """The agent instance that `found` is or belongs to; None where it is neither.

    Raises:
        ConfigError: an executor of OpenRLHF 0.8 without an instance beside it.
    """
    if issubclass(found, AgentInstanceBase):
        return found
    if not issubclass(found, AgentExecutorBase) or is_whole_executor(found):
        return None
    beside = getattr(sys.modules.get(found.__module__), INSTANCE, None)
    if not isinstance(beside, type) or not issubclass(beside, AgentInstanceBase):
        raise ConfigError(
            f"{found.__name__} takes arguments that OpenRLHF has not given since 0.9, and no {INSTANCE} stands in its "
            "file: name the class of the agent instance instead"
        )
    return beside


class InstancePlayer:
    """One agent instance for one episode.

    Args:
        instance_type: the author's class.
        args: of its constructor.
        caller: calls its methods.
    """

    def __init__(self, instance_type: type, args: Mapping[str, Any], caller: Caller) -> None:
        self._type: Any = instance_type  # its __init__ may be async, and is called by hand
        self._args, self._caller = args, caller
        self._instance: Any = None

    async def reset(self, prompt: str, label: Any) -> str | None:
        """The instance's observation."""
        self._instance = await self._caller.call(self._make)
        result = await self._caller.call(self._instance.reset, {"observation": prompt, "label": label})
        observation = result.get("observation") if isinstance(result, Mapping) else None
        if not isinstance(observation, str):
            raise InvalidOutputError(f"reset must return a dict with the text 'observation', found {shown(result)}")
        return observation

    async def step(self, states: Mapping[str, Any]) -> Step:
        """The instance's dict as a turn."""
        result = await self._caller.call(self._instance.step, dict(states))
        missing = [name for name in ("rewards", "environment_feedback", "done") if name not in _keys(result)]
        if missing:
            raise InvalidOutputError(f"step must return a dict with {', '.join(missing)}, found {shown(result)}")
        return Step(_as_turn(result), {name: result[name] for name in _PASSED if result.get(name) is not None})

    async def close(self) -> None:
        """Agent instances of OpenRLHF have nothing to close."""

    def _make(self) -> Any:
        instance = self._type.__new__(self._type, **self._args)
        begun = self._type.__init__(instance, **self._args)
        return _awaited(instance, begun) if inspect.isawaitable(begun) else instance


async def _awaited(instance: Any, begun: Any) -> Any:
    await begun  # an ``async def __init__``
    return instance


def _as_turn(result: Mapping[str, Any]) -> Turn:
    metadata = dict(result.get("extra_logs") or {})
    if result.get("scores") is not None:
        metadata[FILTER_SCORE] = finite_score(result["scores"], "'scores'")
    return Turn(
        feedback=result["environment_feedback"], done=result["done"], reward=result["rewards"], metadata=metadata
    )


def _keys(result: Any) -> set[str]:
    return set(result) if isinstance(result, Mapping) else set()


def _takes_nothing(found: type) -> bool:
    try:
        inspect.signature(found).bind()
    except TypeError:
        return False
    return True
