"""One model and many callers: the thread that keeps the device busy.

What arrives: `ask` calls of any size, from any thread. What leaves: to each exactly one answer a unit, in order,
whatever happens. While the device works on one step, callers tokenise and put in the next one's units; the step after
is formed the moment the device is free, and never later. A backend that forms its own batches (vLLM) is given
everything at once.

An exception that `Backend.score` raises means that the model is lost: what is under way and what waits fails as
`ServiceUnavailableError`, and so does whatever comes later; `lost` says why, for whoever can start another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from rayreward.errors import InvalidOutputError, ServiceUnavailableError
from rayreward.models.backend import Backend
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.step_line import Answer, Asked, Step, StepLine

_OVERLAPPING_CALLS = 32
"""To a backend that takes several at once: each is a thread that waits. What comes while all wait travels together."""

_CLOSED = "the reward model was closed before this was scored"


@dataclass(slots=True)
class StepStats:
    """What went through, counted since the start.

    Attributes:
        unit_count: units that a step has carried.
        step_count: calls to the backend.
        computed_tokens: that the device has worked through, as the backend says.
        late_count: units whose deadline passed before they were computed.
        gone_count: units whose caller had gone before they were computed.
        busy_s: seconds in the backend.
    """

    unit_count: int = 0
    step_count: int = 0
    computed_tokens: int = 0
    late_count: int = 0
    gone_count: int = 0
    busy_s: float = 0.0


class StepQueue:
    """Units of all callers, in steps of one backend.

    Args:
        backend: loaded already.
        now: the clock, in seconds; deadlines are by it.

    Attributes:
        stats: what went through.
    """

    def __init__(self, backend: Backend, *, now: Callable[[], float] = time.monotonic) -> None:
        self._backend, self._now = backend, now
        self._line = StepLine(max_step_tokens=None, cost=backend.cost)
        self._changed = threading.Condition()
        self._is_closed = False
        self._lost: str | None = None
        self.stats = StepStats()
        count = _OVERLAPPING_CALLS if backend.steps_overlap else 1
        self._threads = [
            threading.Thread(target=self._work, name=f"rayreward-model-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def lost(self) -> str | None:
        """Why the model cannot score any more; None while it can."""
        return self._lost or self._backend.lost

    @property
    def step_tokens(self) -> int:
        """What a step carries now."""
        return self._backend.max_step_tokens

    @property
    def waiting_count(self) -> int:
        """Units that no step has taken yet."""
        return len(self._line)

    def ask(self, units: Sequence[ModelInput], *, timeout_s: float | None = None) -> Future[list[Answer]]:
        """One answer a unit, in order, when the last of them is there.

        Args:
            units: what to score.
            timeout_s: units that no step has taken by then are answered `TimeoutError`, and not computed.

        Returns:
            A future. Cancelled, its units are not computed where they still wait.
        """
        asked = Asked(units, None if timeout_s is None else self._now() + timeout_s)
        if not units:
            asked.done.set_result([])
            return asked.done
        with self._changed:
            refusal = self._refusal()
            if refusal is None:
                self._line.add(asked)
                self._changed.notify()
        if refusal is not None:
            for position in range(len(units)):
                asked.answer(position, ServiceUnavailableError(refusal))
        return asked.done

    def close(self) -> None:
        """Take nothing more, fail what waits, let the device finish its step, and release it."""
        with self._changed:
            if self._is_closed:
                return
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        self._fail_waiting(_CLOSED)
        self._backend.close()

    def _refusal(self) -> str | None:
        return self._lost or (_CLOSED if self._is_closed else None)

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._line and not self._is_closed and self._lost is None:
                    self._changed.wait()
                if self._is_closed or self._lost is not None:
                    return
                # Asked anew each time: a backend that has run out of memory halves it.
                self._line.max_step_tokens = None if self._backend.steps_overlap else self._backend.max_step_tokens
                step = self._line.take(self._now())
            self._drop(step)
            if step.entries:
                self._run(step)

    def _drop(self, step: Step) -> None:
        """Answer what is not computed; a caller that has gone hears nothing."""
        with self._changed:
            self.stats.late_count += len(step.late)
            self.stats.gone_count += len(step.gone)
        for entry in step.late:
            entry.asked.answer(entry.position, TimeoutError("the deadline passed before the model was free"))

    def _run(self, step: Step) -> None:
        started_s = self._now()
        try:
            answers: list[Answer] = self._backend.score([entry.unit for entry in step.entries])
        except BaseException as error:  # noqa: BLE001 - the boundary: the device, its driver, a checkpoint's own code
            self._lose(error, step)
            return
        if len(answers) != len(step.entries):
            wrong = InvalidOutputError(
                f"the model's backend answered {len(answers)} of {len(step.entries)} units; this is a bug in rayreward"
            )
            answers = [wrong] * len(step.entries)
        with self._changed:
            self.stats.step_count += 1
            self.stats.unit_count += len(answers)
            self.stats.busy_s += self._now() - started_s
            self.stats.computed_tokens += sum([one.computed_tokens for one in answers if isinstance(one, Reading)])
        for entry, answer in zip(step.entries, answers, strict=True):
            entry.asked.answer(entry.position, answer)

    def _lose(self, error: BaseException, step: Step) -> None:
        why = f"the model was lost while it scored: {type(error).__name__}: {error}"[:2000]
        with self._changed:
            self._lost = self._lost or why
            self._changed.notify_all()
        for entry in step.entries:
            entry.asked.answer(entry.position, ServiceUnavailableError(why))
        self._fail_waiting(why)

    def _fail_waiting(self, why: str) -> None:
        """Nothing that waits will be scored: say so."""
        while True:
            with self._changed:
                step = self._line.take(self._now())
            if not (step.entries or step.late or step.gone):
                return
            self._drop(step)
            for entry in step.entries:
                entry.asked.answer(entry.position, ServiceUnavailableError(why))
