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
from functools import partial
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from rayreward.router.config import ListenSpec
from rayreward.serve.arrivals import Arrivals
from rayreward.serve.asgi import WHOLE_ANSWER
from rayreward.serve.door import Door
from rayreward.serve.kept_port import KeptPort, node_process
from rayreward.wire import ErrorBody, ServiceBody, encode

_log = logging.getLogger(__name__)

_BACKLOG = 4096
"""Connections that may wait to be accepted: OpenRLHF opens one a sample, thousands at once."""

_KEEP_ALIVE_S = 75.0
"""An idle connection is kept so long. Clients give theirs up sooner, so that none is closed under a request."""

_MAX_HEAD_BYTES = 64 * 2**10
"""Of a request that may still grow: a head is kept in memory, and no client of ours sends a kilobyte. One that comes at
once may be as large as what is read at once, 256 KiB."""

_KNOWS_LAST = hasattr(HttpToolsProtocol, "_start_asgi_task")
"""Whether uvicorn sees that a request is its connection's last before it answers. Earlier ones (0.34 among them, and
what Ray's images hold) see it while they send, and so send every answer themselves."""

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
        self._app, self._spec, self._identity, self._kept = app, spec, identity, kept
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


def _refused(status: bytes, kind: str, text: str) -> bytes:
    """The last answer of a connection whose request never came to the application."""
    body = encode(ErrorBody(kind, text))
    head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    return head % (status, len(body)) + body


class _Server(uvicorn.Server):  # type: ignore[misc]
    """Uvicorn without its signal handlers: the process is Ray's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def install_signal_handlers(self) -> None:
        """What uvicorn calls before 0.29."""


class _Protocol(HttpToolsProtocol):  # type: ignore[misc]
    """One connection; also a `rayreward.serve.arrivals.Connection`.

    An answer that is known as a whole leaves in one system call: each costs a quarter of a small answer. Nothing here
    reads the addresses of the two ends, so that nobody pays for asking them. Whoever hangs up is not worked for.
    """

    _app: ASGIApp
    _answering: asyncio.Task[Any] | None = None
    _is_lost = False
    _head_bytes = 0

    @property
    def app(self) -> ASGIApp:
        """What uvicorn, whichever version, calls for each request."""
        return self._answer

    @app.setter
    def app(self, app: ASGIApp) -> None:
        self._app = app

    def connection_made(self, transport: asyncio.Transport) -> None:
        """What uvicorn does, less the addresses."""
        self.connections.add(self)
        self.transport, self.flow, self.scheme = transport, FlowControl(transport), "http"

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has gone, or was answered and sent away."""
        super().connection_lost(exc)
        self._is_lost = True
        if self._answering is not None and not self.cycle.response_complete:
            self._answering.cancel()

    def data_received(self, data: bytes) -> None:
        """What uvicorn does, but a head that does not end is not kept for ever."""
        super().data_received(data)
        if self.scope is None or (self.cycle is not None and self.cycle.scope is self.scope):
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            text = f"a request's head may hold {_MAX_HEAD_BYTES} bytes, found more; put samples into its body"
            self.transport.write(_refused(b"431 Request Header Fields Too Large", "RequestTooLargeError", text))
            self.transport.close()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        cycle = getattr(receive, "__self__", None)
        if not isinstance(cycle, RequestResponseCycle):
            return await self._app(scope, receive, send)  # another uvicorn: its own way is slower, and as good
        self._answering = asyncio.current_task()
        if _KNOWS_LAST:
            scope["extensions"] = {WHOLE_ANSWER: partial(self._send_whole, cycle)}
        try:
            if not self._is_lost:
                await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._is_lost:
                raise  # the server stops
        finally:
            self._answering = None
            scope.pop("extensions", None)  # it leads back to the scope, and what was sent would wait for the collector
            cycle.disconnected = cycle.disconnected or self._is_lost  # uvicorn tells the last of several in a row only

    async def _send_whole(self, cycle: RequestResponseCycle, status: int, head: bytes, body: bytes) -> None:
        """The application's answer, as `rayreward.serve.asgi.SendWhole` has it."""
        if self.flow.write_paused and not self._is_lost:
            await self.flow.drain()
        if self._is_lost:
            return
        cycle.response_started = cycle.response_complete = True
        cycle.message_event.set()
        end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head + end + (b"" if cycle.scope["method"] == "HEAD" else body))
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    @property
    def awaited(self) -> object | None:
        """The rest of a head, of a body, or that the peer takes an answer; None while we are at work."""
        cycle = self.cycle
        if self.transport.is_closing():
            return "closing", cycle
        if self.flow.write_paused and cycle is not None and not cycle.response_complete:
            return "taking", self.transport.get_write_buffer_size()  # an earlier answer: ours would wait behind it
        if self.flow.read_paused or self.pipeline:
            return None  # it is we who do not read, or who are at an earlier request
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
            text += "listen.request_within_s"
            self.transport.write(_refused(b"408 Request Timeout", "DeadlineError", text))
        self.transport.close()
