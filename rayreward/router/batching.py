"""Which waiting samples travel together.

What arrives: samples with their sizes, in order. What leaves: batches, each within the limits: the most urgent first,
callers in turns, a caller's own first come first served. What must stay together (a group) does, and what is over a
limit alone still travels, alone. There is no timer: a batch is taken when a replica can take it, and holds whatever
has come by then.

Pure: no clock, no tasks, no sockets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from rayreward.router.turns import Turns

T = TypeVar("T")

Unit = tuple[Sequence[T], int, int]
"""What stays together, its bytes, and its tokens where they are counted."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What one call may carry.

    Attributes:
        max_samples: so many samples.
        max_bytes: of their texts.
        max_tokens: as `Sample.token_count` has them; None counts none, which costs nothing.
    """

    max_samples: int = 256
    max_bytes: int = 8 * 2**20
    max_tokens: int | None = None


class Waiting(NamedTuple):
    """How much waits; tokens are 0 where nobody has counted them."""

    samples: int = 0
    size_bytes: int = 0
    tokens: int = 0


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
        self._item_count = self._size_bytes = self._tokens = 0

    def __len__(self) -> int:
        return self._item_count

    @property
    def waiting(self) -> Waiting:
        """How much that is."""
        return Waiting(self._item_count, self._size_bytes, self._tokens)

    def limit_tokens(self, max_tokens: int | None) -> None:
        """Hold so many tokens a batch from now on; what waits already counts as it was added."""
        self._limits = replace(self._limits, max_tokens=max_tokens)

    @property
    def has_full_batch(self) -> bool:
        """Whether so much waits that the next batch cannot grow."""
        limits = self._limits
        if self._item_count >= limits.max_samples or self._size_bytes >= limits.max_bytes:
            return True
        return limits.max_tokens is not None and self._tokens >= limits.max_tokens

    def add(self, items: Sequence[T], *, size_bytes: int, tokens: int = 0, rank: int = 0, caller: str = "") -> None:
        """Let `items` wait behind the caller's others; they will travel in one batch.

        Args:
            items: what stays together.
            size_bytes: of all of them.
            tokens: of all of them; 0 where there is no limit on them.
            rank: 0 is the most urgent; see `rayreward.router.terms.PRIORITIES`.
            caller: takes turns with the others.
        """
        self.extend([(items, size_bytes, tokens)], item_count=len(items), rank=rank, caller=caller)

    def extend(self, units: Sequence[Unit[T]], *, item_count: int, rank: int = 0, caller: str = "") -> None:
        """`add` for many: each unit stays together; `item_count` is how many items they hold in all."""
        self._waiting.extend(units, rank=rank, caller=caller)
        self._item_count += item_count
        self._size_bytes += sum([size_bytes for _, size_bytes, _ in units])
        self._tokens += sum([tokens for _, _, tokens in units])

    def take(self, at_most: int | None = None) -> list[T]:
        """The next batch, of `at_most` so many items where that is less than the limit; empty where nothing waits."""
        batch: list[T] = []
        max_samples, max_bytes, max_tokens = self._limits.max_samples, self._limits.max_bytes, self._limits.max_tokens
        if at_most is not None:
            max_samples = min(max_samples, at_most)
        size_bytes = tokens = 0

        def joins(unit: Unit[T]) -> bool:
            nonlocal size_bytes, tokens
            items, more_bytes, more_tokens = unit
            if batch and (len(batch) + len(items) > max_samples or size_bytes + more_bytes > max_bytes):
                return False
            if max_tokens is not None and batch and tokens + more_tokens > max_tokens:
                return False
            tokens += more_tokens
            batch.extend(items)
            size_bytes += more_bytes
            return True

        self._waiting.take_all(joins)
        self._item_count -= len(batch)
        self._size_bytes -= size_bytes
        self._tokens -= tokens
        return batch
