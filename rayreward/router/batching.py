"""Which waiting samples travel together.

What arrives: samples with their sizes, in order. What leaves: batches, first come first served, each within the
limits; what must stay together (a group) does, and what is over a limit alone still travels, alone. There is no timer:
a batch is taken when a replica can take it, and holds whatever has come by then.

Pure: no clock, no tasks, no sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


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
        self._waiting: deque[tuple[Sequence[T], int]] = deque()
        self._item_count = 0

    def __len__(self) -> int:
        return self._item_count

    def add(self, items: Sequence[T], *, size_bytes: int) -> None:
        """Let `items` wait behind the others; they will travel in one batch."""
        self._waiting.append((items, size_bytes))
        self._item_count += len(items)

    def take(self) -> list[T]:
        """The next batch; empty where nothing waits."""
        batch: list[T] = []
        total_bytes = 0
        while self._waiting:
            items, size_bytes = self._waiting[0]
            is_full = len(batch) + len(items) > self._limits.max_samples
            if batch and (is_full or total_bytes + size_bytes > self._limits.max_bytes):
                break
            total_bytes += size_bytes
            batch += self._waiting.popleft()[0]
        self._item_count -= len(batch)
        return batch
