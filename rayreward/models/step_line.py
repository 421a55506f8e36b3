"""Which of the waiting units the next forward pass carries.

What arrives: callers' units, in order. What leaves: steps of at most `max_step_tokens`: the oldest unit first, then
those that share its prompt (which then costs nothing more), then whoever fits, oldest first. A unit that is over the
budget alone travels alone. There is no timer: a step is taken when the device is free, and holds what has come by
then. Units whose caller has gone, or whose deadline has passed, are in no step.

Pure: no thread, no clock, no device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from rayreward.models.inputs import ModelInput, Reading

Answer = Reading | Exception
"""What one unit is answered: what the model says of it, or why it says nothing."""


@dataclass(slots=True, eq=False)
class Asked:
    """One caller's units, and what is known of them.

    Attributes:
        units: in the caller's order.
        deadline_s: by the line's clock; None waits for as long as it takes.
        done: one answer a unit, in order, as soon as the last is there; its caller may cancel it.
    """

    units: Sequence[ModelInput]
    deadline_s: float | None = None
    done: Future[list[Answer]] = field(default_factory=Future)
    _answers: list[Answer | None] = field(init=False)
    _missing: int = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._answers, self._missing = [None] * len(self.units), len(self.units)

    def is_late(self, now_s: float) -> bool:
        """Whether its deadline has passed."""
        return self.deadline_s is not None and now_s >= self.deadline_s

    def answer(self, position: int, answer: Answer) -> None:
        """One unit is answered; the last one wakes the caller."""
        with self._lock:
            self._answers[position] = answer
            self._missing -= 1
            is_last = not self._missing
        if is_last and self.done.set_running_or_notify_cancel():
            self.done.set_result([one for one in self._answers if one is not None])


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One unit in the line."""

    asked: Asked
    position: int

    @property
    def unit(self) -> ModelInput:
        """What is to be scored."""
        return self.asked.units[self.position]


@dataclass(slots=True)
class Step:
    """What one forward pass is for.

    Attributes:
        entries: to be computed, in this order.
        tokens: that the device will work through for them.
        late: units whose deadline has passed.
        gone: units that nobody waits for any more.
    """

    entries: list[Entry] = field(default_factory=list)
    tokens: int = 0
    late: list[Entry] = field(default_factory=list)
    gone: list[Entry] = field(default_factory=list)


class StepLine:
    """Units that wait.

    Args:
        max_step_tokens: what a step carries; None carries all that waits. It may be changed between two steps.
        cost: tokens that a unit adds to a step which holds its prefix already.

    Example:
        >>> line = StepLine(max_step_tokens=8, cost=lambda unit: len(unit.ids) - unit.prefix_tokens)
        >>> line.add(Asked([ModelInput((1, 2, 3, 4), 3), ModelInput((9, 9, 9), 0), ModelInput((1, 2, 3, 5, 6), 3)]))
        >>> [entry.position for entry in line.take(now_s=0.0).entries]
        [0, 2]
        >>> [entry.position for entry in line.take(now_s=0.0).entries]
        [1]
    """

    def __init__(self, *, max_step_tokens: int | None, cost: Callable[[ModelInput], int]) -> None:
        self.max_step_tokens, self._cost = max_step_tokens, cost
        self._waiting: dict[Entry, tuple[int, ...]] = {}
        self._by_prefix: dict[tuple[int, ...], dict[Entry, None]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, asked: Asked) -> None:
        """Let a caller's units wait behind the others."""
        for position, unit in enumerate(asked.units):
            entry, prefix = Entry(asked, position), unit.ids[: unit.prefix_tokens]
            self._waiting[entry] = prefix
            if prefix:
                self._by_prefix.setdefault(prefix, {})[entry] = None

    def take(self, now_s: float) -> Step:
        """The next step; without entries where nothing that waits is wanted."""
        step = Step()
        for entry in list(self._waiting):
            if self.max_step_tokens is not None and step.tokens >= self.max_step_tokens:
                break
            prefix = self._waiting.get(entry)
            if prefix is None or not self._is_wanted(entry, step, now_s):
                continue  # a sibling has taken it along already
            if not self._put(entry, step, len(entry.unit.ids)):
                continue
            for sibling in list(self._by_prefix.get(prefix, ())):
                if self._is_wanted(sibling, step, now_s):
                    self._put(sibling, step, self._cost(sibling.unit))
        return step

    def _is_wanted(self, entry: Entry, step: Step, now_s: float) -> bool:
        if entry.asked.done.cancelled():
            step.gone.append(entry)
        elif entry.asked.is_late(now_s):
            step.late.append(entry)
        else:
            return True
        self._remove(entry)
        return False

    def _put(self, entry: Entry, step: Step, tokens: int) -> bool:
        if step.entries and self.max_step_tokens is not None and step.tokens + tokens > self.max_step_tokens:
            return False
        step.entries.append(entry)
        step.tokens += tokens
        self._remove(entry)
        return True

    def _remove(self, entry: Entry) -> None:
        prefix = self._waiting.pop(entry)
        if prefix:
            siblings = self._by_prefix[prefix]
            del siblings[entry]
            if not siblings:
                del self._by_prefix[prefix]
