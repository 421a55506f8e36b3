"""Calls one function in processes that can be killed.

What arrives: arguments, and how long a call may take. What leaves: one result an argument, in order: what the function
returned, or a fault. It promises that a call which hangs, crashes or takes all memory costs itself: its process is
killed and another forked, in milliseconds, from one that has everything imported. A call that is slow does not hold up
those behind it. It needs no event loop and no Ray, and may be used by several threads.
"""

from __future__ import annotations

import math
import os
import pickle
import select
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rayreward.errors import ConfigError, RewardLoadError
from rayreward.forking.calls import Prepare, Raised, Returned
from rayreward.forking.crew import Crew, Worker
from rayreward.forking.frames import HEADER
from rayreward.forking.zygote import describe_exit

_SLOW_S = 0.05
"""A call that takes longer gets company: another process takes those behind it."""

_READ_BYTES = 1 << 18


class FaultKind(StrEnum):
    """Why a call has no value."""

    TIMEOUT = "timeout"
    CRASHED = "crashed"
    OUT_OF_MEMORY = "out_of_memory"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Answered:
    """What the function returned."""

    value: Any


@dataclass(frozen=True, slots=True)
class Fault:
    """What a call ended with instead of a value."""

    kind: FaultKind
    message: str


OnResult = Callable[[int, Answered | Fault], None]
"""Takes a position and the result that is known for it."""


class ForkPool:
    """Calls one function, one argument a call, in processes that can be killed.

    Args:
        function: ``package.module:name``; takes one argument. Arguments and values are pickled.
        preload: modules that are imported before the first fork, so that no worker has to.
        memory_bytes: how much more than what is imported a worker may take; None for no limit.
        most_workers: processes at once, those of hung calls included.
        idle_workers: how many stay when there is nothing to do, and how many of one `run` are at work at once, the
            slow ones not counted.

    Raises:
        ConfigError: the numbers of workers contradict each other.

    Example:
        >>> pool = ForkPool("math:factorial", memory_bytes=2**28)
        >>> pool.run([5, 10], deadline_s=10)
        [Answered(value=120), Answered(value=3628800)]
        >>> pool.close()
    """

    def __init__(
        self,
        function: str,
        *,
        preload: Sequence[str] = (),
        memory_bytes: int | None,
        most_workers: int = 8,
        idle_workers: int = 1,
    ) -> None:
        if not 1 <= idle_workers <= most_workers:
            raise ConfigError(
                f"ForkPool needs 1 <= idle_workers <= most_workers, found {idle_workers} and {most_workers}"
            )
        self._prepare = Prepare(function, tuple(preload), tuple(sys.path), memory_bytes)
        self._most, self._kept = most_workers, idle_workers
        self._begin()

    def _begin(self) -> None:
        self._owner = os.getpid()
        self._crew = Crew(self._prepare, most=self._most, kept=self._kept)

    def start(self) -> None:
        """Import what is needed and fork the first workers; the first `run` does it where this was not called.

        Raises:
            RewardLoadError: the function cannot be imported, or no process be started.
        """
        self._own_crew().start()

    def run(
        self, arguments: Sequence[Any], *, deadline_s: float, on_result: OnResult | None = None
    ) -> list[Answered | Fault]:
        """One result an argument, in order; each call has `deadline_s` from when it begins.

        Args:
            arguments: one a call.
            deadline_s: seconds.
            on_result: told of each result as soon as it is known, with the argument's position; on this thread.

        Raises:
            RewardLoadError: no process can be started, or the pool was closed.
        """
        run = _Run(self._own_crew(), arguments, deadline_s=deadline_s, width=self._kept, on_result=on_result)
        return run.finish()

    def close(self) -> None:
        """Kill every process; calls under way end as crashed. They are gone when this returns."""
        self._own_crew().close()

    def _own_crew(self) -> Crew:
        """In a process forked from the pool's own another crew: workers answer one process."""
        if self._owner != os.getpid():
            self._crew.forget()
            self._begin()
        return self._crew


class _Run:
    """One batch of calls: which are to come, and which are under way at whom."""

    def __init__(
        self,
        crew: Crew,
        arguments: Sequence[Any],
        *,
        deadline_s: float,
        width: int,
        on_result: OnResult | None,
    ) -> None:
        self._crew, self._arguments, self._on_result = crew, arguments, on_result
        self._deadline_s, self._width = deadline_s, width
        self._results: dict[int, Answered | Fault] = {}
        self._pending = deque(range(len(arguments)))
        self._busy: dict[int, Worker] = {}

    def finish(self) -> list[Answered | Fault]:
        try:
            while self._pending or self._busy:
                while self._pending and self._has_lane():
                    worker = self._taken()
                    if worker is None:
                        break
                    self._begin_next(worker)
                if self._busy:
                    self._await_answers()
        finally:
            for worker in self._busy.values():  # this thread was interrupted
                self._crew.discard(worker)
        return [self._results[position] for position in range(len(self._arguments))]

    def _taken(self) -> Worker | None:
        try:
            return self._crew.take(may_wait=not self._busy)
        except RewardLoadError:  # the machine may have no room for another process: those at work go on
            if not self._busy:
                raise
            return None

    def _has_lane(self) -> bool:
        return sum(not worker.is_slow for worker in self._busy.values()) < self._width

    def _begin_next(self, worker: Worker) -> None:
        """Give a worker the next call that can be sent; where there is none, give the worker back."""
        while self._pending:
            position = self._pending.popleft()
            try:
                blob = pickle.dumps(self._arguments[position], protocol=5)
            except Exception as error:  # noqa: BLE001 - the boundary: foreign objects pickle themselves
                message = f"the argument cannot be sent to another process: {error}"
                self._note(position, Fault(FaultKind.ERROR, message))
                continue
            worker.position, worker.began_s = position, time.monotonic()
            self._send(worker, HEADER.pack(len(blob)) + blob)
            return
        self._crew.give(worker)

    def _send(self, worker: Worker, frame: bytes) -> None:
        connection = worker.forked.connection
        try:
            connection.settimeout(self._deadline_s)  # it reads at once: it has nothing else to do
            connection.sendall(frame)
            connection.setblocking(False)
        except OSError as error:
            code = self._crew.bury(worker)
            if isinstance(error, ConnectionError) and worker.has_worked:
                self._pending.appendleft(worker.position)  # it died while it was idle: this call is not to blame
            else:
                self._fail(worker, FaultKind.CRASHED, f"its process ended with {describe_exit(code)}")
            return
        worker.has_worked = True
        self._busy[connection.fileno()] = worker

    def _await_answers(self) -> None:
        poll = select.poll()
        for descriptor in self._busy:
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(math.ceil(self._wait_s() * 1000)):
            self._read(descriptor)
        now_s = time.monotonic()
        for descriptor, worker in list(self._busy.items()):
            taken_s = now_s - worker.began_s
            if taken_s >= self._deadline_s:
                del self._busy[descriptor]
                self._crew.discard(worker)
                message = f"no answer within {self._deadline_s:g} s; its process was killed"
                self._fail(worker, FaultKind.TIMEOUT, message)
            elif taken_s >= _SLOW_S and not worker.is_slow:
                worker.become_slow()

    def _wait_s(self) -> float:
        """Until something is to be decided, whoever answers."""
        now_s = time.monotonic()
        ends_s = [
            worker.began_s + (self._deadline_s if worker.is_slow else self._soon_s) for worker in self._busy.values()
        ]
        wait_s = max(0.0, min(ends_s) - now_s)
        # Another run may give back the worker that this one lacks; nobody tells.
        return min(wait_s, _SLOW_S) if self._pending and self._has_lane() else wait_s

    @property
    def _soon_s(self) -> float:
        return min(_SLOW_S, self._deadline_s)

    def _read(self, descriptor: int) -> None:
        worker = self._busy[descriptor]
        try:
            chunk = worker.forked.connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            chunk = b""
        worker.received += chunk
        if not chunk:
            del self._busy[descriptor]
            self._fail(worker, FaultKind.CRASHED, f"its process ended with {describe_exit(self._crew.bury(worker))}")
        elif len(worker.received) >= HEADER.size:
            (size,) = HEADER.unpack_from(worker.received)
            if len(worker.received) >= HEADER.size + size:
                del self._busy[descriptor]
                self._answer(worker, bytes(worker.received[HEADER.size :]))

    def _answer(self, worker: Worker, blob: bytes) -> None:
        """Keep an answer, and have the worker go on."""
        answer = _unpickled(blob)
        if isinstance(answer, Returned):
            self._note(worker.position, Answered(answer.value))
        elif answer.is_out_of_memory:
            # What fills it may stay: the next call would find no room either.
            self._crew.discard(worker)
            self._fail(worker, FaultKind.OUT_OF_MEMORY, answer.message)
            return
        else:
            self._fail(worker, FaultKind.ERROR, answer.message)
        worker.received.clear()
        if worker.is_slow or self._crew.is_wanted or not self._pending:
            self._crew.give(worker)
        else:
            self._begin_next(worker)

    def _fail(self, worker: Worker, kind: FaultKind, message: str) -> None:
        self._note(worker.position, Fault(kind, message))

    def _note(self, position: int, result: Answered | Fault) -> None:
        self._results[position] = result
        if self._on_result is not None:
            self._on_result(position, result)


def _unpickled(blob: bytes) -> Returned | Raised:
    try:
        answer: Returned | Raised = pickle.loads(blob)
    except Exception as error:  # noqa: BLE001 - the boundary: a value's own class may do anything
        return Raised(f"the value cannot be read in the calling process: {error}", is_out_of_memory=False)
    return answer
