"""Nothing outlives its caller: a session of processes ends as a whole.

What arrives: the number of a session, or the calling process's wish to be guarded. What leaves: nothing of a session
that has ended. By session and not by process group, because workers have groups of their own, so that each can be
killed with what it started. What makes a session of its own has left on purpose, and is not found.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator

_ROUNDS = 500
"""How often a session is searched for what has been forked meanwhile or is slow to die, 10 ms apart."""


def end_session(session: int) -> None:
    """Kill all of a session but the calling process, whatever its processes do meanwhile."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGSTOP)  # its head forks nothing any more
    for _ in range(_ROUNDS):
        found = list(_living(session))
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _living(session: int) -> Iterator[int]:
    own = os.getpid()
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == own:
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[3]) == session and fields[0] not in (b"Z", b"X"):
            yield int(name)


def start_guard(connection: socket.socket) -> None:
    """A process that waits for the caller's end and then kills this whole session: a hung worker notices nothing.

    Standard input is a pipe whose other end only the caller holds. The guard is nobody's child here, so that an
    author's ``os.wait()`` does not find it.
    """
    between = os.fork()
    if between == 0:
        if os.fork() == 0:
            _guard(connection)
        os._exit(0)
    os.waitpid(between, 0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _guard(connection: socket.socket) -> None:
    session = os.getsid(0)
    os.setpgid(0, 0)  # it is not stopped with the others
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection.close()  # it must end with its process
    os.closerange(1, 3)
    os.read(0, 1)
    end_session(session)
    os._exit(0)
