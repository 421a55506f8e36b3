"""Which waiting samples travel together.

What arrives: samples with their sizes, in order. What leaves: batches, each within the limits: the most urgent first,
callers in turns, a caller's own first come first served. What must stay together (a group) does, and what is over a
limit alone still travels, alone. There is no timer: a batch is taken when a replica can take it, and holds whatever
has come by then.

Pure: no clock, no tasks, no sockets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rayreward.router.turns import Turns

T = TypeVar("T")

Unit = tuple[Sequence[T], int]
"""What stays together, and its bytes."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one call may carry."""

    max_samples: int = 256
    max_bytes: int = 8 * 2**20


class BatchQueue(Generic[T]):
    """A queue of waiting items that gives them back in batches.

    Example:
        >>> queue = BatchQueue[str](BatchLimits(max_samples=3))
        >>> for items in (["a"], ["b"], ["c", "d"]):
        ...     queue.add(items, size_bytes=1)
        >>> queue.take(), queue.take(), queue.take()
        (['a', 'b'], ['c', 'd'], [])
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._waiting: Turns[Unit[T]] = Turns()
        self._item_count = 0

    def __len__(self) -> int:
        return self._item_count

    def add(self, items: Sequence[T], *, size_bytes: int, rank: int = 0, caller: str = "") -> None:
        """Let `items` wait behind the caller's others; they will travel in one batch.

        Args:
            items: what stays together.
            size_bytes: of all of them.
            rank: 0 is the most urgent; see `rayreward.router.terms.PRIORITIES`.
            caller: takes turns with the others.
        """
        self.extend([(items, size_bytes)], item_count=len(items), rank=rank, caller=caller)

    def extend(self, units: Sequence[Unit[T]], *, item_count: int, rank: int = 0, caller: str = "") -> None:
        """`add` for many: each unit stays together; `item_count` is how many items they hold in all."""
        self._waiting.extend(units, rank=rank, caller=caller)
        self._item_count += item_count

    def take(self, at_most: int | None = None) -> list[T]:
        """The next batch, of `at_most` so many items where that is less than the limit; empty where nothing waits."""
        batch: list[T] = []
        max_samples, bytes_left = self._limits.max_samples, self._limits.max_bytes
        if at_most is not None:
            max_samples = min(max_samples, at_most)

        def joins(unit: Unit[T]) -> bool:
            nonlocal bytes_left
            items, size_bytes = unit
            if batch and (len(batch) + len(items) > max_samples or size_bytes > bytes_left):
                return False
            batch.extend(items)
            bytes_left -= size_bytes
            return True

        self._waiting.take_all(joins)
        self._item_count -= len(batch)
        return batch
