"""The caller's side of a clean process that forks workers.

What arrives: what the clean process is to prepare; wishes for workers, and for their end. What leaves: workers'
connections and exit codes. It promises that what was forked is gone when it is closed, and soon after this process has
ended, however suddenly. It may be used by several threads, and takes no event loop.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any

from rayreward.forking.frames import encode_frame, receive
from rayreward.forking.server import BURY, COMMAND, FORK, REPLY, WAIT
from rayreward.forking.session import end_session

_STDERR = 2
"""Where the prints of workers go: their caller's standard output may be data."""

_REPLY_LIMIT_S = 30.0
"""A clean process that has not forked by then is lost; a big one takes a tenth of a second."""


class ZygoteLostError(OSError):
    """The clean process has ended, or answers no more: it must be started anew."""


@dataclass(frozen=True, slots=True)
class Forked:
    """A worker: its process, which leads a group of its own, and the connection to it."""

    pid: int
    connection: socket.socket


class Zygote:
    """A clean process.

    Args:
        code: the Python code that begins it. The last argument of its command line is the number of its control
            socket; it reads one frame from there, answers with one, and then calls `rayreward.forking.server.serve`.
    """

    def __init__(self, code: str) -> None:
        self._code = code
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._turn = threading.Lock()

    @property
    def pid(self) -> int | None:
        """The clean process, if it was started; it leads the session of all that it forks."""
        return None if self._process is None else self._process.pid

    def start(self, told: Any, *, limit_s: float) -> Any:
        """Start the process, tell it one thing and return its answer.

        Raises:
            OSError: it could not be started.
            EOFError: it ended before it answered.
            TimeoutError: it did not answer in time.
        """
        control = self.spawn()
        control.settimeout(limit_s)
        control.sendall(encode_frame(told))
        answer = receive(control)
        control.settimeout(_REPLY_LIMIT_S)
        return answer

    def spawn(self) -> socket.socket:
        """Start the process, within a millisecond or two; its control connection, where it waits to be told one thing.

        Raises:
            OSError: it could not be started.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # subprocess and not os.fork or asyncio: it takes vfork, which a process with gRPC's threads survives. A
                # session of its own makes it the head of all that it starts; its standard input ends with this process.
                self._process = subprocess.Popen(
                    [sys.executable, "-c", self._code, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.PIPE,
                    stdout=_STDERR,
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        ours.settimeout(_REPLY_LIMIT_S)
        self._control = ours
        return ours

    def fork(self) -> Forked:
        """A new worker.

        Raises:
            ZygoteLostError: there is no clean process any more.
            OSError: the machine has no room for another process.
        """
        ours = self.order()
        try:
            ours.settimeout(_REPLY_LIMIT_S)
            return Forked(read_pid(ours.recv(REPLY.size, socket.MSG_WAITALL)), ours)
        except ConnectionError as error:
            ours.close()
            raise ZygoteLostError(f"the clean process has ended: {error}") from error
        except BaseException:
            ours.close()
            raise

    def order(self) -> socket.socket:
        """Ask for a new worker, without waiting for it: the first that its connection gives is what `read_pid` reads.

        Raises:
            ZygoteLostError: there is no clean process any more.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._ask(FORK, 0, theirs)
            except BaseException:
                ours.close()
                raise
        return ours

    def end(self, pid: int) -> int | None:
        """Kill a worker with all that it started; its exit code, where one can still be learnt."""
        _kill(pid)
        try:
            return self._ask(WAIT, pid)
        except OSError:
            return None

    def discard(self, pid: int) -> None:
        """Kill a worker with all that it started and forget it; returns before it is gone."""
        _kill(pid)
        with contextlib.suppress(OSError):
            self._ask(BURY, pid)

    def close(self) -> int | None:
        """Kill the clean process and all that it forked; they are gone when this returns. Its exit code."""
        process, self._process = self._process, None
        control, self._control = self._control, None
        if control is not None:
            with contextlib.suppress(OSError):
                control.shutdown(socket.SHUT_RDWR)  # a thread may wait for it
            control.close()
        if process is None:
            return None
        code = process.poll()
        end_session(process.pid)
        if process.stdin is not None:
            process.stdin.close()
        ended = process.wait()
        return ended if code is None else code

    def forget(self) -> None:
        """Let go without ending anything: for a process forked from the one that started it."""
        if self._control is not None:
            self._control.close()
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()  # or who started it could end unnoticed
            self._process.returncode = 0  # it is another's child: there is nothing to wait for
        self._process = self._control = None

    def _ask(self, what: bytes, pid: int, passed: socket.socket | None = None) -> int:
        with self._turn:
            control = self._control
            if control is None:
                raise ZygoteLostError("there is no clean process")
            try:
                socket.send_fds(control, [COMMAND.pack(what, pid)], [] if passed is None else [passed.fileno()])
                if what != WAIT:
                    return 0
                reply = control.recv(REPLY.size, socket.MSG_WAITALL)
            except OSError as error:
                with contextlib.suppress(OSError):
                    control.shutdown(socket.SHUT_RDWR)  # a late reply would be read as the next one's
                raise ZygoteLostError(f"the clean process is lost: {error}") from error
            if len(reply) < REPLY.size:
                raise ZygoteLostError("the clean process has ended")
            (answer,) = REPLY.unpack(reply)
            return int(answer)


def read_pid(reply: bytes) -> int:
    """The number of a process that was ordered.

    Raises:
        ZygoteLostError: the clean process has ended meanwhile.
        OSError: the machine has no room for another process.
    """
    if len(reply) < REPLY.size:
        raise ZygoteLostError("the clean process has ended")
    (pid,) = REPLY.unpack(reply)
    if pid < 0:
        raise OSError(-pid, os.strerror(-pid))
    return int(pid)


def _kill(pid: int) -> None:
    for kill in (os.killpg, os.kill):  # its group, and itself where it had no time yet to make one
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def describe_exit(code: int | None) -> str:
    """An exit code in words.

    Example:
        >>> describe_exit(-11)
        'signal SIGSEGV'
    """
    if code is None or code >= 0:
        return f"exit code {code}"
    names = {member.value: member.name for member in signal.Signals}
    hint = " (out of memory?)" if -code in (signal.SIGKILL, signal.SIGABRT) else ""
    return f"signal {names.get(-code, -code)}{hint}"
