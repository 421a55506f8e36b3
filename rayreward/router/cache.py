"""Scores that are known already.

What arrives: outputs of deterministic rewards, under a key of version and sample. What leaves: the same outputs, when
the same is asked again. It promises to stay within its entries and its bytes, and to hold no failure: what failed once
may succeed the next time. The least recently asked goes first.

A new version has other keys, so nothing is ever stale; what an old one left ages out.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass

from rayreward.types import RewardOutput, Timings

Key = tuple[str, bytes]
"""A reward's version and a sample's digest."""

_PLAIN_BYTES = 600
"""An output with nothing but a score, with its key and the table's own share, as tracemalloc counts them."""

_AT_ONCE = Timings()
"""A known score waited for nothing and computed nothing."""


@dataclass(slots=True)
class CacheStats:
    """What was asked and what was there.

    Attributes:
        hit_count: answered from the cache.
        twin_count: answered together with the same sample of somebody else.
        miss_count: scored.
    """

    hit_count: int = 0
    twin_count: int = 0
    miss_count: int = 0

    @property
    def hit_rate(self) -> float:
        """The share that cost no scoring; 0 where nothing was asked."""
        spared = self.hit_count + self.twin_count
        return spared / (spared + self.miss_count) if spared else 0.0


class ResultCache:
    """Least recently used out first.

    Args:
        max_entries: outputs held.
        max_bytes: about how much memory they may take.

    Example:
        >>> cache = ResultCache(max_entries=2, max_bytes=1_000_000)
        >>> for digest in (b"a", b"b", b"c"):
        ...     cache.put(("v1", digest), RewardOutput(1.0))
        >>> cache.get(("v1", b"a")) is None, cache.get(("v1", b"c")).score
        (True, 1.0)
    """

    def __init__(self, *, max_entries: int, max_bytes: int) -> None:
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._entries: OrderedDict[Key, tuple[RewardOutput, int]] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Key) -> RewardOutput | None:
        """The output under a key."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: Key, output: RewardOutput) -> None:
        """Keep a score; a failure is not kept, nor what the cache could never hold."""
        if not output.is_valid or any(metric.failure is not None for metric in output.metrics.values()):
            return
        size_bytes = _size_of(output)
        if size_bytes > self._max_bytes:
            return
        known = self._entries.pop(key, None)
        self.size_bytes += size_bytes - (known[1] if known else 0)
        self._entries[key] = output.stamped(timings=_AT_ONCE), size_bytes
        while len(self._entries) > self._max_entries or self.size_bytes > self._max_bytes:
            _, (_, dropped_bytes) = self._entries.popitem(last=False)
            self.size_bytes -= dropped_bytes


def _size_of(output: RewardOutput) -> int:
    if not (output.metrics or output.metadata or output.reason or output.token_rewards or output.step_rewards):
        return _PLAIN_BYTES
    try:
        return _PLAIN_BYTES + 2 * len(pickle.dumps(output, protocol=5))  # objects take about twice their pickle
    except Exception:  # noqa: BLE001 - the boundary: an author's own object in metadata, in tests without a wire
        return 2**62  # too large for any cache: its size cannot be known
