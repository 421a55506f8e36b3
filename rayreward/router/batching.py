"""Which waiting samples travel together.

What arrives: samples with their sizes, in order. What leaves: batches, each within the limits: the most urgent first,
callers in turns, a caller's own first come first served. What must stay together (a group) does, and what is over a
limit alone still travels, alone. Siblings, where they are told, travel together as far as they fit: one that comes
later goes with those that wait. There is no timer: a batch is taken when a replica can take it, and holds whatever has
come by then.

Pure: no clock, no tasks, no sockets.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, NamedTuple, TypeVar

from rayreward.router.turns import Turns

T = TypeVar("T")

Unit = tuple[Sequence[T], int, int]
"""What stays together, its bytes, and its tokens where they are counted."""

_MOST_SIBLINGS = 256
"""Units that go together at most. Who asks for one prompt without end would else keep all others of its caller waiting;
a training has 4 to 64 samples a prompt."""


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


@dataclass(slots=True)
class _Siblings(Generic[T]):
    """Units of one caller and one prompt that wait."""

    key: tuple[int, str, str]
    units: deque[Unit[T]] = field(default_factory=deque)
    added_count: int = 0

    @property
    def size(self) -> Waiting:
        """All of them together."""
        counts, sizes, tokens = zip(*[(len(items), more, tokens) for items, more, tokens in self.units], strict=True)
        return Waiting(sum(counts), sum(sizes), sum(tokens))


@dataclass(slots=True)
class _Forming(Generic[T]):
    """A batch while it is filled."""

    limits: BatchLimits
    items: list[T] = field(default_factory=list)
    size_bytes: int = 0
    tokens: int = 0
    parted: list[_Siblings[T]] = field(default_factory=list)

    def add(self, unit: Unit[T] | _Siblings[T]) -> bool:
        """Take it, and say whether it was taken."""
        if isinstance(unit, _Siblings):
            return self._add_siblings(unit)
        items, size_bytes, tokens = unit
        if self.items and not self._fits(len(items), size_bytes, tokens, beside=True):
            return False
        self.items.extend(items)
        self.size_bytes += size_bytes
        self.tokens += tokens
        return True

    def _add_siblings(self, siblings: _Siblings[T]) -> bool:
        """They are parted only where no batch could hold them all."""
        size, before = siblings.size, len(self.items)
        if not self._fits(*size, beside=True) and self._fits(*size, beside=False):
            return False
        while siblings.units and self.add(siblings.units[0]):
            siblings.units.popleft()
        is_taken = len(self.items) > before
        if siblings.units and is_taken:
            self.parted.append(siblings)
        return is_taken

    def _fits(self, samples: int, size_bytes: int, tokens: int, *, beside: bool) -> bool:
        """Whether so much does, `beside` what is there or alone."""
        limits = self.limits
        if beside:
            samples, size_bytes = samples + len(self.items), size_bytes + self.size_bytes
            tokens += self.tokens
        if samples > limits.max_samples or size_bytes > limits.max_bytes:
            return False
        return limits.max_tokens is None or tokens <= limits.max_tokens


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
        self._waiting: Turns[Unit[T] | _Siblings[T]] = Turns()
        self._siblings: dict[tuple[int, str, str], _Siblings[T]] = {}
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
        self._count(units, item_count)

    def extend_siblings(
        self, units: Sequence[Unit[T]], prompts: Sequence[str], *, item_count: int, rank: int = 0, caller: str = ""
    ) -> None:
        """`extend`, where each unit joins those of its prompt, one a unit, that the same caller has waiting."""
        for unit, prompt in zip(units, prompts, strict=True):
            key = (rank, caller, prompt)
            siblings = self._siblings.get(key)
            if siblings is None or siblings.added_count >= _MOST_SIBLINGS:
                siblings = self._siblings[key] = _Siblings(key)
                self._waiting.add(siblings, rank=rank, caller=caller)
            siblings.units.append(unit)
            siblings.added_count += 1
        self._count(units, item_count)

    def _count(self, units: Sequence[Unit[T]], item_count: int) -> None:
        self._item_count += item_count
        for _, size_bytes, tokens in units:
            self._size_bytes += size_bytes
            self._tokens += tokens

    def take(self, at_most: int | None = None) -> list[T]:
        """The next batch, of `at_most` so many items where that is less than the limit; empty where nothing waits."""
        limits = (
            self._limits
            if at_most is None
            else replace(self._limits, max_samples=min(self._limits.max_samples, at_most))
        )
        batch = _Forming[T](limits)
        for unit in self._waiting.take_all(batch.add):
            if isinstance(unit, _Siblings) and not unit.units and self._siblings.get(unit.key) is unit:
                del self._siblings[unit.key]
        for siblings in batch.parted:  # at the caller's next turn
            rank, caller, _ = siblings.key
            self._waiting.put_back(siblings, rank=rank, caller=caller)
        self._item_count -= len(batch.items)
        self._size_bytes -= batch.size_bytes
        self._tokens -= batch.tokens
        return batch.items
