"""What a caller asks for beside its samples.

What arrives: a deadline, a priority and a name. What leaves: one value that every stage of the router hands on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from rayreward.errors import InvalidInputError, did_you_mean
from rayreward.sample import Sample
from rayreward.types import FailureKind, Priority, RewardOutput

PRIORITIES: dict[Priority, int] = {"train": 0, "eval": 1, "batch": 2}
"""The most urgent first: GPUs stand still while a training waits, a person waits for an evaluation, nobody for a
batch. A class is served when those before it have nothing waiting."""


class Terms(NamedTuple):
    """How one call wants to be treated. A tuple, for one is made for every sample that is asked alone.

    Attributes:
        timeout_s: from now; what has no answer by then fails as `timeout`. None waits for ever.
        priority: an index into the classes of `PRIORITIES`; 0 is the most urgent.
        caller: whose turn it is when several wait: the run, or "" for all that name none.
        group_size: of how many samples a prompt's group is, where the samples do not say.
    """

    timeout_s: float | None = None
    priority: int = 0
    caller: str = ""
    group_size: int | None = None

    def after(self, seconds: float) -> Terms:
        """The same after so many seconds have passed: the deadline is nearer, never behind."""
        if self.timeout_s is None or not seconds:
            return self
        # Not dataclasses.replace, which costs several times as much, for every sample that is asked alone.
        return Terms(max(0.0, self.timeout_s - seconds), self.priority, self.caller, self.group_size)


class Ask(Protocol):
    """A stage of the router: one output a sample, in order."""

    async def __call__(self, samples: Sequence[Sample], terms: Terms) -> list[RewardOutput]:
        """Score the samples on these terms."""
        ...


Clock = Callable[[], float]


def priority_of(text: str) -> Priority:
    """The priority class of this name.

    Raises:
        InvalidInputError: there is no such class.
    """
    for priority in PRIORITIES:
        if priority == text:
            return priority
    raise InvalidInputError(f"no priority {text!r}; {did_you_mean(str(text), PRIORITIES)}")


def rank_of(priority: Priority) -> int:
    """The index of a priority class.

    Raises:
        InvalidInputError: there is no such class.
    """
    rank = PRIORITIES.get(priority)
    return PRIORITIES[priority_of(priority)] if rank is None else rank


def too_late(timeout_s: float | None) -> RewardOutput:
    """The output of a sample that had no answer in time."""
    return RewardOutput.failed(FailureKind.TIMEOUT, f"no answer within {timeout_s} s, queueing included")
