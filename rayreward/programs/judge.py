"""The judge: a process that holds the tests, seen from the process that holds the deadline.

What arrives: `Assertions`, and a way to ask the program. What leaves: an outcome a step. Test code is trusted, but what
a program returns can make it slow or huge: a judge that is late is killed, and costs its own sample.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from rayreward.programs import channel
from rayreward.programs.assertions import Assertions
from rayreward.programs.errors import GradingError
from rayreward.types import FailureKind

_MEMORY_BYTES = 4 * 2**30
"""Address space of a judge. Test code that imports numpy maps more than a gigabyte; a program's answers are bounded."""

_START_LIMIT_S = 60.0
"""For a process to start and fork; it takes a tenth of a second, longer only where the machine is overwhelmed."""


@dataclass(frozen=True, slots=True)
class Request:
    """What test code wants of the program; see `rayreward.programs.proxies`."""

    what: str
    target: Any
    name: str
    args: Any
    kwargs: Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a step.

    Attributes:
        kind: ``passed``; ``failed`` an assert; ``raised`` anything else; ``ended``: the program was gone;
            ``unsupported``: the test hands over what cannot travel; ``late``: no outcome in time, and nothing after it.
        asked: whether the program had been asked anything, in this step or before.
        last_answer: the beginning of the last thing that it answered.
    """

    kind: Literal["passed", "failed", "raised", "ended", "unsupported", "late"]
    message: str
    asked: bool
    last_answer: str = ""


class Judge:
    """A process that forks a judge a sample; threads may share it.

    Nothing is started before the first sample. It is not pickled: its owner makes a new one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._requests: socket.socket | None = None

    def outcomes(
        self, asserts: Assertions, ask: Callable[[Request], tuple[str, Any]], *, limit_s: float
    ) -> Generator[Outcome, None, None]:
        """One outcome a step, in order, ending early only after ``late``.

        Args:
            asserts: the tests.
            ask: answers a request as `rayreward.programs.proxies.Ask` does, or ("ended", None).
            limit_s: how long the judge itself may take for a step; what the program takes does not count.

        Raises:
            GradingError: the judge could not be started, or died.
        """
        connection = self._fork()
        with connection:
            process = _Killable(connection)
            try:
                yield from _conversation(connection, asserts, ask, limit_s)
            finally:
                process.kill()

    def close(self) -> None:
        """End the process and its judges."""
        with self._lock:
            process, requests = self._process, self._requests
            self._process = self._requests = None
        if requests is not None:
            requests.close()
        if process is not None:
            process.wait()

    def _fork(self) -> socket.socket:
        """A connection to a fresh judge."""
        ours, theirs = socket.socketpair()
        with theirs:
            for attempt in range(2):
                try:
                    socket.send_fds(self._started(), [b"."], [theirs.fileno()])
                    return ours
                except OSError as error:  # it died between two samples: nobody is to blame
                    self.close()
                    if attempt:
                        ours.close()
                        raise GradingError(
                            FailureKind.UNAVAILABLE, f"the judge's process cannot be reached: {error}"
                        ) from error
        raise AssertionError("two attempts ended without a connection; this is a bug in rayreward")

    def _started(self) -> socket.socket:
        with self._lock:
            if self._requests is None:
                ours, theirs = socket.socketpair()
                path = [folder for folder in sys.path if folder]
                code = (
                    f"import sys; sys.path[:] = {path!r}; "
                    f"from rayreward.programs.judging import main; main({_MEMORY_BYTES})"
                )
                with theirs:
                    # A group of its own, which it kills as a whole. Nothing of the environment: test code is trusted
                    # to judge, not with the trainer's tokens.
                    self._process = subprocess.Popen(
                        [sys.executable, "-c", code],
                        stdin=theirs.fileno(),
                        stdout=subprocess.DEVNULL,
                        env={"PATH": os.defpath, "LANG": "C.UTF-8"},
                        start_new_session=True,
                    )
                self._requests = ours
            return self._requests


class _Killable:
    """A judge by a handle that never means another process."""

    def __init__(self, connection: socket.socket) -> None:
        try:
            self._handle = os.pidfd_open(channel.receive(connection, within_s=_START_LIMIT_S))
        except (TimeoutError, OSError) as error:
            raise GradingError(FailureKind.UNAVAILABLE, f"the judge's process did not start: {error}") from error

    def kill(self) -> None:
        """End it, if it has not ended."""
        try:
            signal.pidfd_send_signal(self._handle, signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has ended by itself
        finally:
            os.close(self._handle)


def _conversation(
    connection: socket.socket, asserts: Assertions, ask: Callable[[Request], tuple[str, Any]], limit_s: float
) -> Iterator[Outcome]:
    asked, until = False, None
    try:
        channel.send(
            connection, ([step.code for step in asserts.steps], asserts.names, asserts.aliases, asserts.exceptions)
        )
        while True:
            within_s = limit_s if until is None else until - time.monotonic()
            message = channel.receive(connection, within_s=within_s)
            if message[0] == "ask":
                asked = True
                answer = ask(Request(*message[1:]))
                if answer[0] == "ended" and until is None:
                    until = time.monotonic() + limit_s  # a loop with a bare except would ask for ever
                _reply(connection, answer)
            elif message[0] == "step":
                until = None
                _, kind, text, last_answer = message
                yield Outcome(kind, text, asked, last_answer)
            else:
                return
    except TimeoutError:
        yield Outcome("late", f"no verdict within {limit_s:g} s", asked)
    except channel.ChannelClosedError as error:
        raise GradingError(FailureKind.CRASHED, f"the judge's process ended: {error}") from error


def _reply(connection: socket.socket, answer: tuple[str, Any]) -> None:
    try:
        channel.send(connection, answer)
    except (RecursionError, MemoryError, ValueError) as error:  # nested too deep to travel further
        channel.send(connection, ("raised", ([type(error).__name__], "the value cannot travel")))
