"""The router's own HTTP port: requests reach the door without Serve's proxy.

What arrives: an ASGI application, and where to listen. What leaves: a server on the running event loop, and its URL.
Serve's proxy costs milliseconds of CPU a request, because it carries each in several actor calls; this is one process.

On Linux routers of the same service share the port: a new one answers before the old one has ended, and while there is
none connections wait for the next one (`rayreward.serve.kept_port`), which the kernel would otherwise refuse. Anybody
else's port is left alone: the service then goes on through Serve's proxy, and says so once. Nothing here raises for
want of a port. When it stops it takes no more connections and finishes what is under way. A client that closes its side
of the connection counts as gone, and one whose request does not arrive in time is sent away.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from rayreward.router.config import ListenSpec
from rayreward.serve.arrivals import Arrivals
from rayreward.serve.door import Door
from rayreward.serve.kept_port import KeptPort, node_process
from rayreward.wire import ErrorBody, ServiceBody, encode

_log = logging.getLogger(__name__)

_BACKLOG = 4096
"""Connections that may wait to be accepted: OpenRLHF opens one a sample, thousands at once."""

_KEEP_ALIVE_S = 75.0
"""An idle connection is kept so long. Clients give theirs up sooner, so that none is closed under a request."""

_DEPARTURE_CHECK_S = 1.0
"""Requests that have been answered by then are never looked at: looking costs more than most answers."""

_JOIN_WITHIN_S = 5.0
_JOIN_PAUSE_S = 0.25
"""How long and how often the holder of the port is asked whose it is: it may be starting itself, or ending."""

_KEEPER_WITHIN_S = 2.0
"""A router of ours that answers has a keeper, or will have one again in this time. Only then is the port shared without
one: each router has a queue of connections of its own then, which ends with it."""

_FIRST_REQUEST_S = 0.5
"""How long a router that stops still waits for the request of a connection that it has accepted, on its way already."""


class Listener:
    """An HTTP server on the running event loop.

    Args:
        app: answers the requests.
        spec: where to listen.
        identity: of the service; routers of the same one may share the port. It is what ``GET /v1/service`` answers
            for ``service``.
        kept: its share in a port that outlives it; without one, connections are refused while there is no router.
    """

    def __init__(self, app: ASGIApp, spec: ListenSpec, *, identity: str, kept: KeptPort | None = None) -> None:
        self._app, self._spec, self._identity, self._kept = Departures(app), spec, identity, kept
        self._server: _Server | None = None
        self._arrivals: Arrivals | None = None
        self._serving: asyncio.Task[None] | None = None
        self.port: int | None = None

    async def start(self) -> bool:
        """Listen; False where the port is somebody else's, which the log then says."""
        bound = await self._bind()
        if bound is None:
            return False
        self.port = bound.getsockname()[1]
        config = uvicorn.Config(
            self._app, http=_Protocol, interface="asgi3", lifespan="off", ws="none", backlog=_BACKLOG, access_log=False,
            proxy_headers=False, server_header=False, log_config=None, timeout_keep_alive=int(_KEEP_ALIVE_S),
        )  # fmt: skip
        server = self._server = _Server(config)
        self._arrivals = Arrivals(
            lambda: server.server_state.connections, within_s=self._spec.request_within_s, now=time.monotonic
        )
        # A thousand requests under way are many objects: without Ray's own among them the collector has little to walk.
        gc.collect()
        gc.freeze()
        self._serving = asyncio.get_running_loop().create_task(self._server.serve(sockets=[bound]))
        self._app.start()
        self._arrivals.start()
        return True

    async def stop(self, *, is_followed: bool = False) -> None:
        """Take no more connections, finish what is under way, close.

        Args:
            is_followed: whether another router of the service follows, for which further connections then wait.
        """
        if self._server is None or self._serving is None or self._arrivals is None:
            return
        if self._kept is not None:
            await self._kept.leave(is_followed=is_followed)
        self._server.should_exit = True
        await self._serving
        await self._app.stop()
        await self._arrivals.stop()

    async def _bind(self) -> socket.socket | None:
        host, port, loop = self._spec.host, self._spec.port, asyncio.get_running_loop()
        try:
            started_s = loop.time()
            shares_s = started_s + (_KEEPER_WITHIN_S if self._kept is not None else 0.0)
            while loop.time() < started_s + _JOIN_WITHIN_S:
                if self._kept is not None and (kept := await self._kept.join(port)) is not None:
                    return kept
                alone = _listening(host, port, shares=False)
                if alone is not None:
                    if self._kept is not None:
                        await self._kept.keep(alone)
                    return alone
                holder = await _identity_at(host, port)
                if holder not in (None, self._identity):
                    break
                may_share = holder == self._identity and loop.time() >= shares_s
                if may_share and (shared := _listening(host, port, shares=True)) is not None:
                    return shared
                await asyncio.sleep(_JOIN_PAUSE_S)
        except OSError as error:
            reason = error.strerror or str(error)
        else:
            reason = "somebody else listens there"
        _log.warning(
            "listen: %s:%d cannot be used: %s. The service goes on through Ray Serve's proxy, which costs about 18 "
            "times the CPU a request; choose another listen.port",
            host, port, reason,
        )  # fmt: skip
        return None


async def start_listener(door: Door, spec: ListenSpec | None) -> Listener | None:
    """The listener of this replica's router, where it is to have one and gets its port; tells the door its URL."""
    import ray
    from ray import serve

    context = serve.get_replica_context()
    # Two clusters may each have a service of this name on one machine.
    identity = f"{context.app_name}@{ray.get_runtime_context().gcs_address}"
    door.service = ServiceBody(identity)
    if spec is None or not spec.port:
        return None
    kept = KeptPort(identity, spec.host, parent_pid=node_process()) if sys.platform == "linux" else None
    listener = Listener(door, spec, identity=identity, kept=kept)
    if not await listener.start():
        return None
    host = ray.util.get_node_ip_address() if spec.host in ("0.0.0.0", "::") else spec.host
    door.service = ServiceBody(identity, f"http://{f'[{host}]' if ':' in host else host}:{listener.port}")
    return listener


def _listening(host: str, port: int, *, shares: bool) -> socket.socket | None:
    """A socket that listens; None where the port is taken.

    The first one takes the port alone, so that two services that start at once cannot both have it, and lets others
    of its user in afterwards.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if shares:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
        if sys.platform == "linux":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        bound.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    bound.setblocking(False)
    return bound


async def _identity_at(host: str, port: int) -> str | None:
    """Whose port it is: the service that answers there, "" for no service of ours, None where nobody answers yet."""
    where = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    try:
        async with httpx.AsyncClient(timeout=1.0, trust_env=False) as http:
            answer = await http.get(f"http://{where}:{port}/v1/service")
        return str(answer.json()["service"])
    except httpx.TransportError:
        return None
    except (ValueError, KeyError, TypeError):
        return ""


_TOO_LATE = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b"
)


class _Server(uvicorn.Server):  # type: ignore[misc]
    """Uvicorn without its signal handlers: the process is Ray's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _JoinedTransport:
    """A transport that sends an answer's head and body in one system call, which is a quarter of a small one's cost.

    A first piece is held until the next one comes, or until the turn of the event loop ends. Nothing here reads the
    addresses of the two ends, so that nobody pays for asking them.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport, self._held = transport, b""
        self._call_soon = asyncio.get_running_loop().call_soon

    def write(self, data: bytes) -> None:
        if not self._held:
            self._held = data
            self._call_soon(self._flush)
            return
        held, self._held = self._held, b""
        self._transport.write(held + data)

    def _flush(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._transport.write(held)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def get_extra_info(self, _name: str, default: Any = None) -> Any:
        return default

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Protocol(HttpToolsProtocol):  # type: ignore[misc]
    """One connection; also a `rayreward.serve.arrivals.Connection`."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(_JoinedTransport(transport))

    @property
    def awaited(self) -> object | None:
        """The rest of a head, of a body, or that the peer takes the last answer; None while we are at work."""
        cycle = self.cycle
        if self.transport.is_closing():
            return "closing", cycle
        if self.flow.read_paused:
            return None  # it is we who do not read
        if cycle is None:
            return "head", None
        if not cycle.response_complete:
            return ("body", cycle) if cycle.more_body else None
        is_idle = self.timeout_keep_alive_task is not None
        return None if is_idle else ("head", cycle)

    def shutdown(self) -> None:
        """Close it when it is idle, the server stops."""
        if self.cycle is None and not self.transport.is_closing():
            asyncio.get_running_loop().call_later(_FIRST_REQUEST_S, super().shutdown)
            return
        super().shutdown()

    def end(self, within_s: float) -> None:
        """Close the connection; one that is closing, and whose peer takes nothing, is cut off."""
        if self.transport.is_closing():
            self.transport.abort()
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            text = f"the request did not arrive within {within_s:g} s; send fewer samples a request, or raise "
            body = encode(ErrorBody("DeadlineError", text + "listen.request_within_s"))
            self.transport.write(_TOO_LATE % (len(body), body))
        self.transport.close()


class Departures:
    """Cancels the work of callers that hung up: their samples leave the queue.

    The server itself tells of a departure only to those who ask. A request is looked at when it has been under way
    for a second or so, by one timer for all, since most are answered in milliseconds.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answering: dict[asyncio.Task[None], Receive] = {}
        self._watched: dict[asyncio.Task[None], asyncio.Task[None]] = {}
        self._sweeper: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does."""
        task = asyncio.current_task()

        async def noting() -> Message:
            message = await receive()
            if task is not None and not message.get("more_body", False):
                self._answering[task] = receive
            return message

        try:
            await self._app(scope, noting, send)
        except asyncio.CancelledError:
            watcher = self._watched.get(task) if task is not None else None
            if watcher is None or not watcher.done():
                raise  # the server stops
        finally:
            if task is not None:
                self._answering.pop(task, None)
                watcher = self._watched.pop(task, None)
                if watcher is not None:
                    watcher.cancel()

    def start(self) -> None:
        """Look for departures from now on."""
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def stop(self) -> None:
        """Look no more."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)

    async def _sweep(self) -> None:
        old: set[asyncio.Task[None]] = set()
        while True:
            await asyncio.sleep(_DEPARTURE_CHECK_S)
            for task in old & self._answering.keys() - self._watched.keys():
                watching = _cancel_when_gone(task, self._answering[task])
                self._watched[task] = asyncio.get_running_loop().create_task(watching)
            old = set(self._answering)


async def _cancel_when_gone(task: asyncio.Task[None], receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    task.cancel()
