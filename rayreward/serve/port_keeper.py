"""The port keeper: a process that holds one listening socket while routers come and go.

What arrives: the socket, inherited from the router that took the port, and over an abstract Unix socket the connections
of routers. What leaves: the socket, to each router that comes. So they share one queue of connections, and while none
lives the kernel lets connections wait in it instead of refusing them.

It accepts none of them itself, and holds nothing else. It ends at once with its node, and when no router has come for a
while after the last one. A router says before it leaves whether another follows; whoever says nothing was killed.
Anybody else of this machine is sent away unheard.

Nothing of rayreward is imported and no site packages: `rayreward.serve.kept_port` starts this file as a script, of some
ten megabytes, on Linux only.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time
from collections.abc import Sequence

TITLE = "rayreward-port-keeper"
"""In its command line, before the address that it keeps; the last word there is the process that it ends with."""

LEAVING, ENDING = b"L", b"E"
"""What a router says before it goes: another one follows, or none will. There is nothing else to say."""

_MOST_ROUTERS = 64
"""More are sent away: each costs a descriptor, and a node has one router, two while it is replaced."""

_PARENT_CHECK_S = 1.0
"""Where Linux cannot tell of a process's end (before 5.3)."""


class Keeper:
    """Hands the socket to routers and counts them.

    Args:
        kept: the listening socket.
        door: where routers come, listening too.
        where: the address that is kept, as it is told to routers.
        left_s: how long it is kept after the last router has left for another one.
        lost_s: how long after the last one was lost, and for the first to come.
    """

    def __init__(self, kept: socket.socket, door: socket.socket, where: str, *, left_s: float, lost_s: float) -> None:
        self._kept, self._door, self._where = kept, door, where.encode()
        self._left_s, self._lost_s = left_s, lost_s
        self._routers: dict[int, socket.socket] = {}
        self._ends_s = time.monotonic() + lost_s
        self._poll = select.poll()

    def keep(self, parent_pid: int) -> None:
        """Until that process has ended, or no router comes."""
        try:
            parent = _watched(parent_pid)
        except ProcessLookupError:
            return
        if parent is not None:
            self._poll.register(parent, select.POLLIN)
        self._door.setblocking(False)
        self._poll.register(self._door, select.POLLIN)
        while self._routers or time.monotonic() < self._ends_s:
            ready = [fd for fd, _ in self._poll.poll(self._wait_ms(is_told=parent is not None))]
            if parent in ready or (parent is None and not _is_alive(parent_pid)):
                return
            for fd in ready:
                if fd == self._door.fileno():
                    self._admit()
                else:
                    self._part(self._routers.pop(fd))

    def _wait_ms(self, *, is_told: bool) -> int | None:
        waits_s = [] if is_told else [_PARENT_CHECK_S]
        if not self._routers:
            waits_s.append(max(self._ends_s - time.monotonic(), 0.0))
        return int(min(waits_s) * 1000) + 1 if waits_s else None

    def _admit(self) -> None:
        try:
            router, _ = self._door.accept()
        except OSError:  # it has gone again
            return
        router.setblocking(False)
        try:
            if len(self._routers) >= _MOST_ROUTERS or peer_uid(router) != os.getuid():
                raise PermissionError
            socket.send_fds(router, [self._where], [self._kept.fileno()])
        except OSError:
            router.close()
            return
        self._routers[router.fileno()] = router
        self._poll.register(router, select.POLLIN)

    def _part(self, router: socket.socket) -> None:
        """A router has said its last word, or was lost."""
        try:
            said = router.recv(1)
        except OSError:
            said = b""
        self._poll.unregister(router)
        router.close()
        wait_s = {ENDING: 0.0, LEAVING: self._left_s}.get(said, self._lost_s)
        self._ends_s = time.monotonic() + wait_s


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end of a Unix socket."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid


def _watched(pid: int) -> int | None:
    """A descriptor that is readable once the process has ended; None where Linux has none.

    Raises:
        ProcessLookupError: it has ended.
    """
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        raise
    except (AttributeError, OSError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def main(argv: Sequence[str]) -> None:
    """Take the name, or fail where another keeper has it; then go on as nobody's child."""
    _, _, where, fd, name, left_s, lost_s, parent_pid = argv
    door = socket.socket(socket.AF_UNIX)
    door.bind(f"\0{name}")
    door.listen()
    if os.fork():
        return  # whoever started this waits for it, and finds the door open
    kept = socket.socket(fileno=int(fd))
    Keeper(kept, door, where, left_s=float(left_s), lost_s=float(lost_s)).keep(int(parent_pid))


if __name__ == "__main__":
    main(sys.argv)
