"""The workers of a pool: who is idle, who is lent, and who waits for one.

What arrives: threads that need a worker, and workers whose call has ended. What leaves: workers, forked where none is
idle. It promises that there are never more than allowed, that who waits is served in turn, and that a clean process
which was lost is replaced. What a worker is asked is none of its business.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections import deque
from dataclasses import dataclass, field

from rayreward.errors import RewardLoadError
from rayreward.forking.calls import Prepare, Prepared
from rayreward.forking.zygote import Forked, Zygote, ZygoteLostError

_CHILD = "from rayreward.forking.calls import main; main()"

_START_LIMIT_S = 120.0
"""How long the imports may take before they count as hung."""

_SLOW_NICENESS = 10
"""What a slow call's process is niced by: about a tenth of a core where others want it."""


@dataclass(slots=True, eq=False)
class Worker:
    """A process, and the call that it is at.

    Attributes:
        generation: of the clean process that it was forked from.
        position: of the call, in its batch.
        began_s: when the call began.
        is_slow: the call gets fewer turns of the processor, and the worker makes no other.
        received: of its answer so far.
        has_worked: whether it was given a call before.
    """

    forked: Forked
    generation: int
    position: int = -1
    began_s: float = 0.0
    is_slow: bool = False
    received: bytearray = field(default_factory=bytearray)
    has_worked: bool = False

    def become_slow(self) -> None:
        """Leave the processor to others."""
        self.is_slow = True
        with contextlib.suppress(OSError):  # it has just ended
            niceness = os.getpriority(os.PRIO_PROCESS, self.forked.pid) + _SLOW_NICENESS
            os.setpriority(os.PRIO_PROCESS, self.forked.pid, niceness)


class Crew:
    """Lends workers.

    Args:
        prepare: what they are to call.
        most: workers at once.
        kept: how many of them stay when there is nothing to do.
    """

    def __init__(self, prepare: Prepare, *, most: int, kept: int) -> None:
        self._prepare, self._most, self._kept = prepare, most, kept
        self._zygote = Zygote(_CHILD)
        self._generation = 0
        self._idle: list[Worker] = []
        self._count = 0
        self._waiting: deque[queue.SimpleQueue[Worker | None]] = deque()
        self._state = threading.Lock()
        self._zygotes = threading.Lock()
        self.is_closed = False

    def start(self) -> None:
        """Have idle workers ready.

        Raises:
            RewardLoadError: the function cannot be imported, or no process be started.
        """
        taken = [worker for worker in (self.take(may_wait=False) for _ in range(self._kept)) if worker is not None]
        for worker in taken:
            self.give(worker)

    def take(self, *, may_wait: bool) -> Worker | None:
        """An idle worker, a new one, or the next that somebody gives back; None where there is none and none may be.

        Raises:
            RewardLoadError: no process can be started, or the crew was closed.
        """
        while True:
            with self._state:
                if self.is_closed:
                    raise RewardLoadError("the pool was closed")
                if self._idle:
                    return self._idle.pop()
                has_room = self._count < self._most
                if has_room:
                    self._count += 1
                elif not may_wait:
                    return None
                else:
                    slot: queue.SimpleQueue[Worker | None] = queue.SimpleQueue()
                    self._waiting.append(slot)
            if has_room:
                return self._forked()
            given = slot.get()
            if given is not None:
                return given

    @property
    def is_wanted(self) -> bool:
        """Whether somebody waits for a worker."""
        return bool(self._waiting)

    def give(self, worker: Worker) -> None:
        """Take back a worker whose call has ended."""
        worker.received.clear()
        with self._state:
            # A slow one's niceness cannot be taken back.
            is_kept = not worker.is_slow and worker.generation == self._generation and not self.is_closed
            if is_kept and self._waiting:
                self._waiting.popleft().put(worker)
                return
            if is_kept and len(self._idle) < self._kept:
                self._idle.append(worker)
                return
        self.discard(worker)

    def discard(self, worker: Worker) -> None:
        """Kill a worker; who waits may have another."""
        if worker.generation == self._generation:
            self._zygote.discard(worker.forked.pid)
        self._has_gone(worker)

    def bury(self, worker: Worker) -> int | None:
        """Kill a worker that has ended; how it had, where that can be learnt."""
        code = self._zygote.end(worker.forked.pid) if worker.generation == self._generation else None
        self._has_gone(worker)
        return code

    def close(self) -> None:
        """End every process; they are gone when this returns."""
        self.is_closed = True
        with self._zygotes:
            self._lose(self._generation)
        with self._state:
            waiting, self._waiting = self._waiting, deque()
        for slot in waiting:
            slot.put(None)

    def forget(self) -> None:
        """Let go without ending anything: in a process forked from the one whose crew it is."""
        for worker in self._idle:
            worker.forked.connection.close()
        self._zygote.forget()

    def _has_gone(self, worker: Worker) -> None:
        worker.forked.connection.close()
        with self._state:
            self._count -= 1
            if self._waiting:
                self._waiting.popleft().put(None)  # there is room

    def _forked(self) -> Worker:
        try:
            for _ in range(2):
                with self._zygotes:
                    generation = self._generation
                    self._ensure_zygote()
                with contextlib.suppress(ZygoteLostError):
                    worker = Worker(self._zygote.fork(), generation)
                    worker.forked.connection.setblocking(False)
                    return worker
                with self._zygotes:
                    self._lose(generation)
        except BaseException as error:
            self._give_room_back()
            if isinstance(error, OSError):
                raise RewardLoadError(f"no worker process could be forked: {error}") from error
            raise
        self._give_room_back()
        raise RewardLoadError("the process that forks workers ends again and again; is the machine out of memory?")

    def _give_room_back(self) -> None:
        with self._state:
            self._count -= 1
            if self._waiting:
                self._waiting.popleft().put(None)

    def _ensure_zygote(self) -> None:
        if self.is_closed:
            raise RewardLoadError("the pool was closed")
        if self._zygote.pid is not None:
            return
        what = self._prepare.function
        try:
            answer = self._zygote.start(self._prepare, limit_s=_START_LIMIT_S)
        except (OSError, EOFError) as error:
            self._zygote.close()
            raise RewardLoadError(f"no process that calls {what!r} could be started: {error}") from error
        if not isinstance(answer, Prepared):
            self._zygote.close()
            raise RewardLoadError(f"{what!r} cannot be called: {answer}")

    def _lose(self, generation: int) -> None:
        """End the clean process and its workers; who is at one finds it crashed."""
        if generation != self._generation:
            return  # another thread did
        with self._state:
            self._generation += 1
            idle, self._idle = self._idle, []
            self._count -= len(idle)
        for worker in idle:
            worker.forked.connection.close()
        self._zygote.close()
