"""Whose turn it is.

What arrives: things that wait, each with an urgency and a caller. What leaves: the next one: of the most urgent class
that has any; within a class callers take turns, so that one with a million samples does not keep out one with ten;
a caller's own come in their order. A less urgent class waits for as long as a more urgent one has something.

Pure: no clock, no tasks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """A queue with classes and turns.

    Example:
        >>> turns = Turns[str]()
        >>> for item, rank, caller in (("e", 1, ""), ("a1", 0, "a"), ("a2", 0, "a"), ("b1", 0, "b")):
        ...     turns.add(item, rank=rank, caller=caller)
        >>> [turns.take(lambda item: True) for _ in range(4)]
        ['a1', 'b1', 'a2', 'e']
    """

    def __init__(self) -> None:
        self._classes: dict[int, dict[str, deque[T]]] = {}

    def __bool__(self) -> bool:
        return bool(self._classes)

    def add(self, item: T, *, rank: int, caller: str) -> None:
        """Let an item wait behind its caller's others."""
        self.extend((item,), rank=rank, caller=caller)

    def extend(self, items: Iterable[T], *, rank: int, caller: str) -> None:
        """Let items wait, one or more, in their order."""
        callers = self._classes.get(rank)
        if callers is None:
            callers = self._classes[rank] = {}
        waiting = callers.get(caller)
        if waiting is None:
            callers[caller] = deque(items)
        else:
            waiting.extend(items)

    def put_back(self, item: T, *, rank: int, caller: str) -> None:
        """Let an item that was taken be its caller's next one again; the caller's turn is over all the same."""
        self._classes.setdefault(rank, {}).setdefault(caller, deque()).appendleft(item)

    def take(self, fits: Callable[[T], bool]) -> T | None:
        """The next item, if it fits; the next caller's where a caller's first does not. None where none does."""
        if not self._classes:
            return None
        rank = min(self._classes)
        callers = self._classes[rank]
        for caller, waiting in callers.items():
            if fits(waiting[0]):
                item = waiting.popleft()
                self._end_turn(rank, caller)
                return item
        return None

    def take_all(self, fits: Callable[[T], bool]) -> list[T]:
        """What `take` would give until nothing more fits.

        `fits` is asked in order, and what it agrees to is taken. A caller that is alone is not given its turn anew
        each time: it mostly is, and then it may have thousands.
        """
        taken: list[T] = []
        while self._classes:
            rank = min(self._classes)
            callers = self._classes[rank]
            if len(callers) > 1:
                item = self.take(fits)
                if item is None:
                    break
                taken.append(item)
                continue
            [waiting] = callers.values()
            while waiting and fits(waiting[0]):
                taken.append(waiting.popleft())
            if waiting:
                break
            del self._classes[rank]
        return taken

    def remove(self, item: T, *, rank: int, caller: str) -> bool:
        """Take out one that waits no longer; False where it did not wait."""
        waiting = self._classes.get(rank, {}).get(caller)
        if waiting is None or item not in waiting:
            return False
        waiting.remove(item)
        if not waiting:
            self._end_turn(rank, caller)
        return True

    def _end_turn(self, rank: int, caller: str) -> None:
        callers = self._classes[rank]
        if len(callers) == 1 and callers[caller]:
            return
        waiting = callers.pop(caller)
        if waiting:
            callers[caller] = waiting  # at the end of the round
        elif not callers:
            del self._classes[rank]
