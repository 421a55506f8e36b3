"""The clean process: it is ready, and forks workers on request.

What arrives on its control connection: a request to fork, with the worker's own connection; a worker whose exit code is
wanted; one that is only to be buried. What leaves: exit codes, and process ids on the workers' connections. It does
nothing else, so that a fork of it is as good as a fresh start that has come as far. A worker that has ended stays a
zombie until its end is asked for: until then nobody else can have its number, and to kill it is safe.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import re
import resource
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable

from rayreward.forking.session import start_guard

COMMAND = struct.Struct("!cq")
"""What to do, and to which process."""

REPLY = struct.Struct("!q")
"""An exit code, or on a worker's connection its process id; for a fork that failed, the negative error number."""

FORK, WAIT, BURY = b"F", b"W", b"B"

_ROOM_BYTES = 2**26
"""Enough to build, pickle and send an error."""

_BURIAL_S = 0.1
"""How often a process that was killed, and that nobody asks for, is looked after."""


def begin() -> socket.socket:
    """Make a process that `Zygote` has started what it must be; its control connection."""
    control = socket.socket(fileno=int(sys.argv[-1]))
    control.set_inheritable(False)
    start_guard(control)
    # Ctrl-C reaches the whole process group; the caller decides when its workers end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what was printed before a kill is what its author looks for
    return control


def serve(control: socket.socket, work: Callable[[socket.socket], None]) -> None:
    """Fork on request until the caller hangs up; `work` is run in what is forked, with its own connection."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # an author's SIG_IGN would bury them before they are asked for
    gc.collect()
    gc.freeze()  # the pages of what is loaded stay shared with every worker
    with contextlib.suppress(ConnectionError):  # it hung up before it had read its last answer
        _serve(control, work)


def _serve(control: socket.socket, work: Callable[[socket.socket], None]) -> None:
    killed: set[int] = set()
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        killed -= {pid for pid in killed if _is_buried(pid)}
        if not poll.poll(_BURIAL_S * 1000 if killed else None):
            continue
        message, descriptors, _, _ = socket.recv_fds(control, COMMAND.size, 1)
        if not message:
            return
        what, pid = COMMAND.unpack(message)
        if what == FORK:
            _fork(control, descriptors[0], work)
        elif what == WAIT:
            control.sendall(REPLY.pack(_exit_code(pid)))
        else:
            killed.add(pid)


def limit_memory(memory_bytes: int) -> None:
    """Let this process take so many bytes more than it has; what asks for more is refused, a `MemoryError` in Python.

    Writable private memory is what counts, not address space (RLIMIT_AS): CUDA, JavaScript engines, thread arenas
    reserve many times of what they ever use, and would be refused. Nor is resident memory watched from outside: at
    several GB a second a watcher comes late, and can only kill where a refusal costs a sample its score and no more.
    """
    with open("/proc/self/status") as file:
        found = re.search(r"VmData:\s+(\d+) kB", file.read())
    limit = (int(found[1]) * 1024 if found else 0) + memory_bytes
    _set_limit(limit)


def give_room() -> None:
    """Let this process take a little more, to say that it has taken all it may."""
    limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if limit != resource.RLIM_INFINITY:
        _set_limit(limit + _ROOM_BYTES)


def _set_limit(limit: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _fork(control: socket.socket, descriptor: int, work: Callable[[socket.socket], None]) -> None:
    """A worker; its number, or the error, is the first that is read on its connection."""
    try:
        pid = os.fork()
    except OSError as error:
        pid = -(error.errno or errno.EAGAIN)
    if pid == 0:
        _become_worker(control, descriptor, work)
    with socket.socket(fileno=descriptor) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(REPLY.pack(pid))


def _become_worker(control: socket.socket, descriptor: int, work: Callable[[socket.socket], None]) -> None:
    code = 1
    try:
        os.setpgid(0, 0)  # its own group: it is killed with all that it starts
        control.close()
        os.set_inheritable(descriptor, False)
        with socket.socket(fileno=descriptor) as connection:
            work(connection)
        code = 0
    except BaseException:  # noqa: BLE001 - the boundary: a worker must end here, and never serve as a second zygote
        traceback.print_exc()
    finally:
        os._exit(code)


def _exit_code(pid: int) -> int:
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except ChildProcessError:
        return 0


def _is_buried(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True
