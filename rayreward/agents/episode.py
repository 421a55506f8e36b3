"""One episode: what was said, what was answered, and how it ended.

What arrives: the model's actions. What leaves: feedback for each, and at the end a sample with all of it. Whatever the
environment raises or returns by mistake is attributed here: the episode has failed and is over; nothing is raised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from rayreward.agents.environment import Turn
from rayreward.agents.groups import Group
from rayreward.boundary import AUTHORS_ERRORS, pass_on_cancellation
from rayreward.outcome import failed_output
from rayreward.plain import plain
from rayreward.sample import Sample
from rayreward.trainers.openrlhf import TrainerAnswer, strip_end_tokens
from rayreward.types import Failure, FailureKind
from rayreward.wire import refuse_deep_nesting

T = TypeVar("T")

ENVIRONMENT = "environment"
"""The component that an environment's failures are counted under."""

_OVER = Turn(done=True)


@dataclass(frozen=True, slots=True)
class Step:
    """What an environment says to one action.

    Attributes:
        passed: further keys for OpenRLHF's loop: its own agents may change the sampling parameters or add images.
    """

    turn: Turn
    passed: Mapping[str, Any] = field(default_factory=dict)


class Player(Protocol):
    """An environment as an episode sees it; what it raises is the episode's failure."""

    async def reset(self, prompt: str, label: Any) -> str | None:
        """The first observation; None is the prompt."""
        ...

    async def step(self, states: Mapping[str, Any]) -> Step:
        """The answer to ``states["action_text"]``."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


@dataclass(frozen=True, slots=True)
class Played:
    """An action and what the environment said to it; None where that failed."""

    action: str
    turn: Turn | None


class Episode:
    """An environment's dialogue with the model.

    Attributes:
        played: the actions so far.
        answers: the scores of single turns, where turns are scored.
        failure: why it has no reward of its own, once that is known.
    """

    def __init__(self, player: Player, prompt: str, label: Any, *, max_turns: int, group: Group) -> None:
        self._player, self._max_turns, self._group = player, max_turns, group
        self.prompt, self.label = prompt, None if label == "" else label
        self.played: list[Played] = []
        self.answers: list[TrainerAnswer] = []
        self.failure: Failure | None = None

    @property
    def turns(self) -> list[Turn]:
        """What the environment has said."""
        return [one.turn for one in self.played if one.turn is not None]

    async def begin(self) -> str:
        """The first text that the model sees."""
        try:
            refuse_deep_nesting([self.label])
        except AUTHORS_ERRORS as error:
            self.fail(error)
            self.label = None  # it cannot travel with the sample either
            return self.prompt
        observation = await self._guarded(self._player.reset(self.prompt, self.label))
        return self.prompt if observation is None else _valid(observation)

    async def play(self, states: Mapping[str, Any]) -> Step:
        """What is said to the next action."""
        if self.failure is not None:  # it never began
            return Step(_OVER)
        step = await self._guarded(self._player.step(states))
        turn = None if step is None else replace(step.turn, feedback=_valid(step.turn.feedback))
        self.played.append(Played(strip_end_tokens(states["action_text"]), turn))
        if step is None or turn is None:
            return Step(_OVER)
        is_over = turn.done or len(self.played) >= self._max_turns
        return Step(replace(turn, done=is_over), step.passed)

    async def close(self) -> None:
        """Let the environment go; an episode that has ended cannot fail any more by that."""
        before = self.failure
        await self._guarded(self._player.close())
        self.failure = before

    def fail(self, error: BaseException) -> None:
        """Attribute what the environment raised."""
        failure = failed_output(error).failure
        if failure is not None:
            self.failure = replace(failure, component=ENVIRONMENT)

    def fail_as(self, kind: FailureKind, message: str) -> None:
        """End without a reward, for a reason that is nobody's exception."""
        self.failure = Failure(kind, message, ENVIRONMENT)

    def sample(self, query: str) -> Sample:
        """What a reward is shown: the last action as the response, and everything before it as metadata.

        `query` is prompt, actions and feedback as one text, special tokens included.
        """
        turns = [_as_record(one) for one in self.played]
        return Sample(
            prompt=self.prompt,
            response=self.played[-1].action if self.played else "",
            label=self.label,
            metadata={"query": query, "turns": turns, "turn_count": len(turns)},
            group_id=self._group.id,
            group_size=self._group.size,
        )

    async def _guarded(self, work: Awaitable[T]) -> T | None:
        try:
            return await work
        except AUTHORS_ERRORS as error:
            pass_on_cancellation(error)
            self.fail(error)
            return None


def _as_record(one: Played) -> dict[str, Any]:
    record: dict[str, Any] = {"action": one.action}
    if one.turn is not None:
        record |= {"feedback": one.turn.feedback, "reward": one.turn.reward, "metadata": plain(one.turn.metadata)}
    return record


def _valid(text: str) -> str:
    """Lone surrogates, as programs' output may hold them, would end a tokenizer and with it the training."""
    return text.encode("utf-8", "backslashreplace").decode()
