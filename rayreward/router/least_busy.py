"""Which of a reward's replicas the next call is for: the one with the fewest.

What arrives: who runs, and when calls leave and come back. What leaves: a replica's id; none where nobody is known to
run.

Serve's own choice is the better of two at random, which evens out over hundreds of short requests. Calls that each
fill a replica are few: of eight replicas some have three calls while others have none. What Serve remembers of a
replica's calls is no help: it is told by answers, and stays where the last of them left it.

Pure: no clock, no calls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


class LeastBusy:
    """Counts the calls that one router has under way with the replicas of one reward.

    Args:
        running: ids of who runs now.

    Example:
        >>> calls = LeastBusy(lambda: ("a", "b"))
        >>> with calls.one_more() as first, calls.one_more() as second:
        ...     first, second
        ('a', 'b')
        >>> with calls.one_more() as third:  # of equally busy ones, that which has waited longest
        ...     third
        'a'
    """

    def __init__(self, running: Callable[[], Sequence[str]]) -> None:
        self._running = running
        self._under_way: Counter[str] = Counter()
        self._last_turn: dict[str, int] = {}
        self._turn = 0

    @contextmanager
    def one_more(self, named: str | None = None) -> Iterator[str | None]:
        """A call that is under way inside the block, for the replica that is `named` or for the least busy one."""
        replica = self._choose() if named is None else named
        if replica is None:
            yield None
            return
        self._turn += 1
        self._last_turn[replica] = self._turn
        self._under_way[replica] += 1
        try:
            yield replica
        finally:
            self._under_way[replica] -= 1
            if not self._under_way[replica]:
                del self._under_way[replica]

    def _choose(self) -> str | None:
        running = self._running()
        if len(self._last_turn) > 2 * len(running):  # replicas come and go for weeks
            self._last_turn = {one: turn for one, turn in self._last_turn.items() if one in running}
        return min(running, key=lambda one: (self._under_way[one], self._last_turn.get(one, 0)), default=None)
