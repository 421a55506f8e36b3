"""A router's share in a port that outlives it: the router's side of `rayreward.serve.port_keeper`.

What arrives: a listening socket, from the router that took the port, or from the keeper where one has it already. What
leaves: the same socket to listen on, and a keeper that holds it too, so that connections wait for the next router while
this one is replaced.

A keeper that is killed disturbs nobody, and is replaced. Nothing here raises for want of one: connections are then
refused while there is no router, which the log says.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil

from rayreward.serve.port_keeper import ENDING, LEAVING, TITLE, peer_uid

_log = logging.getLogger(__name__)

_KEEPER = Path(__file__).with_name("port_keeper.py")

_LEFT_S = 30.0
"""How long the port is kept for the router that a redeploy brings: 5 to 9 s on two busy cores, more where its node has
to install an environment first. A redeploy without the port, or with another one, leaves callers waiting for so long.
"""

_LOST_S = 60.0
"""How long it is kept after the last router was killed. Serve starts the next one within seconds, but tries again and
again on a node without room."""

_START_LIMIT_S = 10.0
_ANSWER_LIMIT_S = 2.0
"""A keeper is there in a twentieth of a second, and answers at once: one that takes so long stands still."""

_SHORT_LIFE_S = 10.0
"""A keeper that did not live so long is not replaced: something ends them."""

_WHERE_BYTES = 512
"""The most that a keeper's answer is: a host's name and a port."""


class KeptPort:
    """One router's share.

    Args:
        identity: of the service: routers of the same one share the port.
        host: where they listen.
        parent_pid: the process with which the keeper ends at the latest.
        left_s: how long the port is kept after the last router has left for another one.
        lost_s: how long after the last one was lost.
    """

    def __init__(
        self, identity: str, host: str, *, parent_pid: int, left_s: float = _LEFT_S, lost_s: float = _LOST_S
    ) -> None:
        self._identity, self._host, self._parent_pid = identity, host, parent_pid
        self._left_s, self._lost_s = left_s, lost_s
        self._keeper: socket.socket | None = None
        self._kept: socket.socket | None = None
        self._joined_s = 0.0
        self._replacing: asyncio.Task[None] | None = None

    async def join(self, port: int) -> socket.socket | None:
        """The socket that listens on `port`; None where nobody keeps it for this service."""
        try:
            keeper, where, kept = await asyncio.to_thread(_ask, self._name(port))
        except OSError:
            return None
        if where != f"{self._host}:{port}":
            # The service listens elsewhere from now on: the keeper ends, unless an older router is still there.
            _part(keeper, ENDING)
            kept.close()
            return None
        kept.setblocking(False)
        self._hold(keeper, kept.dup())
        return kept

    async def keep(self, bound: socket.socket) -> None:
        """Start a keeper for a socket that listens, and be its first router."""
        port = bound.getsockname()[1]
        try:
            await asyncio.to_thread(self._start, bound, port)
            keeper, _, kept = await asyncio.to_thread(_ask, self._name(port))
        except (OSError, subprocess.SubprocessError) as error:
            _log.warning(
                "listen: no process keeps port %d (%s): connections are refused while the router is replaced",
                port, error,
            )  # fmt: skip
            return
        self._hold(keeper, kept)

    async def leave(self, *, is_followed: bool) -> None:
        """Let go of the port, and tell the keeper whether another router follows."""
        if self._replacing is not None:
            await self._replacing
        if self._keeper is not None:
            _part(self._release(self._keeper), LEAVING if is_followed else ENDING)
        if self._kept is not None:
            self._kept.close()

    def _name(self, port: int) -> str:
        """The keeper's: in no file system, and in the same network namespace as the port itself."""
        service = hashlib.sha256(f"{self._identity} {port}".encode()).hexdigest()
        return f"{TITLE}-{os.getuid()}-{service[:32]}"

    def _start(self, bound: socket.socket, port: int) -> None:
        """Start it as nobody's child: Ray ends a worker's children with the worker.

        Where another router of this service was faster it finds the name taken and ends.
        """
        words = TITLE, f"{self._host}:{port}", bound.fileno(), self._name(port)
        subprocess.run(
            # Isolated and without site packages: it needs the standard library only, and starts in no time.
            [sys.executable, "-I", "-S", _KEEPER, *map(str, (*words, self._left_s, self._lost_s, self._parent_pid))],
            pass_fds=[bound.fileno()],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            timeout=_START_LIMIT_S,
            check=False,
        )

    def _hold(self, keeper: socket.socket, kept: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if self._kept is not None:
            self._kept.close()
        self._keeper, self._kept, self._joined_s = keeper, kept, loop.time()
        keeper.setblocking(False)
        loop.add_reader(keeper, self._on_lost, keeper)  # it says nothing, so what comes is its end

    def _release(self, keeper: socket.socket) -> socket.socket:
        asyncio.get_running_loop().remove_reader(keeper)
        self._keeper = None
        return keeper

    def _on_lost(self, keeper: socket.socket) -> None:
        self._release(keeper).close()
        loop = asyncio.get_running_loop()
        if self._kept is None or loop.time() - self._joined_s < _SHORT_LIFE_S:
            _log.warning("listen: the process that keeps the port was ended: the router goes on alone")
            return
        self._replacing = loop.create_task(self.keep(self._kept))


def node_process() -> int:
    """Ray's own process of this node, which started this one: when it ends, so does the node."""
    with contextlib.suppress(psutil.Error):
        for parent in psutil.Process().parents():
            if parent.name() == "raylet":
                return parent.pid
    return os.getppid()


def _ask(name: str) -> tuple[socket.socket, str, socket.socket]:
    """The keeper of that name, the address that it keeps, and its socket.

    Raises:
        OSError: there is none, it does not answer, or it is another user's.
    """
    keeper = socket.socket(socket.AF_UNIX)
    try:
        keeper.settimeout(_ANSWER_LIMIT_S)
        keeper.connect(f"\0{name}")
        if peer_uid(keeper) != os.getuid():
            raise PermissionError("another user has the keeper's name")
        where, fds, _, _ = socket.recv_fds(keeper, _WHERE_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
        if not fds:
            raise ConnectionError("the keeper is ending")
        return keeper, where.decode(errors="replace"), socket.socket(fileno=fds[0])
    except BaseException:
        keeper.close()
        raise


def _part(keeper: socket.socket, word: bytes) -> None:
    with contextlib.suppress(OSError):
        keeper.send(word)
    keeper.close()
