"""Connections to one server, for every event loop that asks.

What arrives: the loop that runs. What leaves: its connections, opened when it first asks. They close with their loop or
with their holder: a judge lives as long as its holder, who has no reason to close it. Loops of several threads may ask.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import httpx

from rayreward.calling.bodies import ASKED_ENCODING
from rayreward.calling.tls import verification

_CONNECT_S = 10.0
"""To open a connection: a host that does not answer by then is down, and another try may meet another one."""


@dataclass
class LoopConnections:
    """What belongs to one event loop."""

    http: httpx.AsyncClient
    kept_open: AsyncGenerator[None, None]
    slots: asyncio.Semaphore
    discovery: asyncio.Lock = field(default_factory=asyncio.Lock)


class Connections:
    """A pool a loop.

    Args:
        url: of the server.
        max_concurrency: requests under way at once, in each.
        transport: an httpx transport, for tests.
    """

    def __init__(self, url: str, max_concurrency: int, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._url, self._count, self._transport = url, max_concurrency, transport
        self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return {"_url": self._url, "_count": self._count, "_transport": self._transport}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _forget(self) -> None:
        self._loops: _Loops = weakref.WeakKeyDictionary()
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._loops)

    async def here(self) -> LoopConnections:
        """Those of the running loop."""
        loop = asyncio.get_running_loop()
        here = self._loops.get(loop)
        if here is None:
            with self._changing:
                for ended in [known for known in self._loops if known.is_closed()]:
                    del self._loops[ended]
                here = self._loops[loop] = self._open()
            await anext(here.kept_open)
        return here

    async def aclose(self) -> None:
        """Close this loop's."""
        with self._changing:
            here = self._loops.pop(asyncio.get_running_loop(), None)
        if here is not None:
            await here.kept_open.aclose()

    def _open(self) -> LoopConnections:
        http = httpx.AsyncClient(
            transport=self._transport,
            verify=verification(self._url),
            headers=ASKED_ENCODING,
            timeout=httpx.Timeout(None, connect=_CONNECT_S),  # the deadline is the question's
            limits=httpx.Limits(max_connections=self._count + 1, max_keepalive_connections=self._count),
        )
        return LoopConnections(http, _keep_open(http), asyncio.Semaphore(self._count))


async def _keep_open(http: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    """Connections that close with their event loop, or with their endpoint.

    Event loops close the generators that are open when they end, and finish those that nobody holds any more.
    """
    try:
        yield
    finally:
        await http.aclose()


_Loops = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, LoopConnections]
"""A connection pool belongs to the event loop that opened it."""
