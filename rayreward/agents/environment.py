"""What an author writes: an environment that answers a model's actions, turn by turn.

What arrives: a prompt and its label, then one action after the other. What leaves: what the model is told next, and
when the episode is over. Plain Python: no tensors, no tokens, no trainer. Methods may be async; sync ones run in a
thread of their own, so they may block. One instance plays one episode.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rayreward.errors import InvalidOutputError, shown
from rayreward.types import finite_score


@dataclass(frozen=True, slots=True)
class Turn:
    """What an environment says to one action.

    Attributes:
        feedback: what the model reads next, as part of its context.
        done: whether the episode is over.
        reward: this turn's, where the environment gives rewards itself; None says nothing. Finite.
        metadata: anything else worth keeping; travels with the sample to the reward, as plain JSON.
        role: None appends the feedback as it stands; "user" or "tool" puts it into the model's chat template as a
            message of that role, after which the model speaks again.

    Raises:
        InvalidOutputError: a value of a wrong type, or a reward that is not finite.

    Example:
        >>> Turn("Not quite. Try again.", role="user").done
        False
    """

    feedback: str = ""
    done: bool = False
    reward: float | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    role: str | None = None

    def __post_init__(self) -> None:
        done = self.done.item() if hasattr(self.done, "item") else self.done  # numpy's booleans
        for name, value, wanted in (
            ("feedback", self.feedback, str),
            ("done", done, bool),
            ("metadata", self.metadata, Mapping),
            ("role", self.role, str | None),
        ):
            if not isinstance(value, wanted):
                raise InvalidOutputError(f"a turn's {name} must be {_name(wanted)}, found {shown(value)}")
        object.__setattr__(self, "done", done)
        if self.reward is not None:
            object.__setattr__(self, "reward", finite_score(self.reward, "a turn's reward"))


def _name(wanted: Any) -> str:
    return getattr(wanted, "__name__", None) or str(wanted)


class Environment(ABC):
    """One episode's world. Subclass it, and name the class in a job's ``agent.environment``.

    The job's ``agent.args`` are the keyword arguments of its constructor. Whatever it raises fails that episode alone.

    Example:
        >>> class Guess(Environment):
        ...     def reset(self, prompt, label):
        ...         self.number = int(label)
        ...     def step(self, action):
        ...         guess = int(action)
        ...         return Turn("higher" if guess < self.number else "lower", done=guess == self.number)
        >>> game = Guess()
        >>> game.reset("Guess a number.", "7")
        >>> game.step("5").feedback, game.step("7").done
        ('higher', True)
    """

    def reset(self, prompt: str, label: Any) -> str | Awaitable[str | None] | None:
        """Begin; return the first text that the model sees, or None to keep the prompt as it is."""
        return None

    @abstractmethod
    def step(self, action: str) -> Turn | Awaitable[Turn]:
        """Answer what the model said, end tokens removed."""

    def close(self) -> Awaitable[None] | None:
        """Give back what the episode holds: processes, files, connections. Called once, however it ended."""
        return None
