"""Ends connections whose request does not come to its end: each would hold a socket and its memory for ever.

What arrives: a server's open connections, looked at from time to time. What leaves: those that have waited for the
same part of the same request for too long (its head, its body, or its answer to be taken) are ended. A request that is
being scored is never touched, however long that takes; nor is a connection that is idle between two requests, which
the server closes itself.

One look for all connections, instead of a timer each: a request that comes at once costs nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Protocol

from rayreward.router.terms import Clock

_LOOKS = 10
"""In the time that a request may take: one that is too late is ended at most a tenth later."""


class Connection(Protocol):
    """An open connection of a server."""

    @property
    def awaited(self) -> object | None:
        """What the peer has yet to do, equal for as long as it is the same; None where it is the server's turn."""
        ...

    def end(self, within_s: float) -> None:
        """Close it, telling the peer what it missed where it may still listen."""
        ...


class Arrivals:
    """Looks after the connections of one server.

    Args:
        connections: those that are open now.
        within_s: how long a peer may take.
        now: the clock, in seconds.
    """

    def __init__(self, connections: Callable[[], Collection[Connection]], *, within_s: float, now: Clock) -> None:
        self._connections, self._within_s, self._now = connections, within_s, now
        self._since_s: dict[Connection, tuple[object, float]] = {}
        self._looking: asyncio.Task[None] | None = None

    def look(self) -> int:
        """End what has been awaited for too long; how many that were."""
        now_s, known, ended = self._now(), self._since_s, 0
        self._since_s = {}
        for connection in list(self._connections()):
            awaited = connection.awaited
            if awaited is None:
                continue
            seen, since_s = known.get(connection, (None, now_s))
            if seen != awaited:
                since_s = now_s
            elif now_s - since_s >= self._within_s:
                connection.end(self._within_s)
                ended += 1
                continue
            self._since_s[connection] = awaited, since_s
        return ended

    def start(self) -> None:
        """Look from now on."""
        self._looking = asyncio.get_running_loop().create_task(self._look_on())

    async def stop(self) -> None:
        """Look no more."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look_on(self) -> None:
        while True:
            await asyncio.sleep(self._within_s / _LOOKS)
            self.look()
