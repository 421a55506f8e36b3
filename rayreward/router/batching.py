"""Which waiting samples travel together.

What arrives: samples with their sizes, in order. What leaves: batches, first come first served, each within the
limits; a single sample over a limit still travels, alone. There is no timer: a batch is taken when a replica can
take it, and holds whatever has come by then.

Pure: no clock, no tasks, no sockets.
"""

from __future__ import annotations

from collections import deque
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
        >>> queue = BatchQueue[str](BatchLimits(max_samples=2))
        >>> for item in ("a", "b", "c"):
        ...     queue.add(item, size_bytes=1)
        >>> queue.take(), queue.take(), queue.take()
        (['a', 'b'], ['c'], [])
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._waiting: deque[tuple[T, int]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, item: T, *, size_bytes: int) -> None:
        """Let `item` wait behind the others."""
        self._waiting.append((item, size_bytes))

    def take(self) -> list[T]:
        """The next batch; empty where nothing waits."""
        batch: list[T] = []
        total_bytes = 0
        while self._waiting and len(batch) < self._limits.max_samples:
            _, size_bytes = self._waiting[0]
            if batch and total_bytes + size_bytes > self._limits.max_bytes:
                break
            total_bytes += size_bytes
            batch.append(self._waiting.popleft()[0])
        return batch
