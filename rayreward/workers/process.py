"""One worker: a process that scores, and can be killed.

What arrives: batches of samples and how long a sample may take. What leaves: one output a sample, in order. When
the process hangs or dies, the sample it was at fails (`timeout`, `crashed`), the process is killed with all that it
started, and another scores the rest of the batch. A sample that is slow is set aside with its process, where another
can be forked: that one scores the rest, and further batches, while the slow one has its time.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Sequence
from functools import partial

from rayreward.errors import RewardLoadError
from rayreward.forking.zygote import describe_exit
from rayreward.outcome import failed_output
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput
from rayreward.workers.attempt import Attempt
from rayreward.workers.crash_loop import CrashLoop
from rayreward.workers.outcomes import Outcome, give_up, settled
from rayreward.workers.patience import Patience
from rayreward.workers.processes import RewardProcesses, Scorer
from rayreward.workers.protocol import Load

_ASYNC_GRACE_S = 1.0
"""Async rewards keep their deadline themselves, each sample its own; only a loop that is blocked is killed, this much
later."""

_Failure = tuple[FailureKind, str]
"""What ended an attempt."""


class ProcessWorker:
    """A killable process for one reward; one batch at a time.

    Args:
        blob: the reward, pickled by cloudpickle.
        one_by_one: whether the reward answers sample by sample, so that a hang has one culprit.
        concurrent: whether it works on all samples at once (async rewards).
        memory_bytes: what the process may take beside what is loaded.
        name: of the reward, for the log.
        patience: when a sample is slow; shared by the workers of one replica.
    """

    def __init__(
        self,
        blob: bytes,
        *,
        one_by_one: bool,
        concurrent: bool,
        memory_bytes: int,
        name: str,
        patience: Patience | None = None,
    ) -> None:
        self._processes = RewardProcesses(Load(blob, tuple(sys.path), memory_bytes))
        self._one_by_one, self._concurrent = one_by_one, concurrent
        self._patience = patience or Patience()
        self._aside: set[asyncio.Task[RewardOutput]] = set()
        self._crash_loop = CrashLoop(name)
        self._warm: Scorer | None = None
        self.restart_count = 0

    @property
    def pid(self) -> int | None:
        """The process that is running, if one is: that scores, or loads the reward."""
        return self._processes.pid

    @property
    def crash_loop(self) -> str | None:
        """What is wrong, while its process ends again and again."""
        return self._crash_loop.report

    async def start(self) -> None:
        """Start a process and load the reward; whatever goes wrong, no process is left.

        Raises:
            RewardLoadError: the reward cannot be loaded; the message is what its code raised.
        """
        await self._processes.start()

    async def close(self) -> None:
        """Stop for good: what is under way fails, and nothing starts again."""
        await self._processes.close()
        if self._aside:
            await asyncio.wait(self._aside)

    async def run(self, samples: Sequence[Sample], timeout_s: float) -> list[RewardOutput]:
        """Score `samples`, each within `timeout_s` (a batch reward: all together)."""
        return await settled(await self.begin(samples, timeout_s))

    async def begin(self, samples: Sequence[Sample], timeout_s: float) -> list[Outcome]:
        """The same, as soon as none but slow samples are left; the worker is free for another batch."""
        blobs, found = _pickled(samples)
        chunks = [sorted(blobs)] if blobs else []
        try:
            while chunks:
                chunks += await self._try(chunks.pop(), blobs, found, timeout_s)
        except RewardLoadError as error:
            return [found.get(at) or failed_output(error) for at in range(len(samples))]
        except BaseException:
            give_up(found.values())
            await self._processes.end()  # it still works on a batch nobody waits for, and would answer it to the next
            raise
        return [found[position] for position in range(len(samples))]

    async def _try(
        self, chunk: list[int], blobs: dict[int, bytes], found: dict[int, Outcome], timeout_s: float
    ) -> list[list[int]]:
        """Have a chunk scored; what of it is to be tried again, and in which chunks."""
        attempt = Attempt(await self._scorer(), chunk, blobs, found, self._crash_loop)
        try:
            failure = await self._watch(attempt, found, timeout_s)
        except asyncio.CancelledError:
            attempt.reading.cancel()
            raise
        unanswered = attempt.unanswered
        if failure is None:
            return [unanswered] if unanswered else []
        await self._processes.end()
        self._note_end(failure)
        return self._blame(unanswered, found, failure)

    async def _scorer(self) -> Scorer:
        """A process that can be asked."""
        scorer = self._processes.scorer
        if scorer is not None and scorer.has_ended:
            await self._processes.end()  # between two batches: nobody in this one is to blame
            scorer = None
        if scorer is None:
            await asyncio.sleep(self._crash_loop.pause_s)
            scorer = await self._processes.start()
        return scorer

    async def _watch(self, attempt: Attempt, found: dict[int, Outcome], timeout_s: float) -> _Failure | None:
        """Until the chunk is done, or what is left of it is another's; what ended the attempt, where it was trouble."""
        limit_s = timeout_s + (_ASYNC_GRACE_S if self._concurrent else 0.0)
        # Where several samples are under way at once nobody knows which of them is slow.
        knows_who = self._one_by_one and not self._concurrent
        look_s = self._patience.limit_s if knows_who else limit_s
        while True:
            wait_s = max(0.0, min(limit_s, look_s) - attempt.silent_s)
            done, _ = await asyncio.wait({attempt.reading}, timeout=wait_s)
            if done:
                return await self._ended(attempt)
            silent_s, patience_s = attempt.silent_s, self._patience_with(attempt)
            if silent_s >= limit_s:
                attempt.reading.cancel()
                return self._timeout(timeout_s)
            if not knows_who:
                look_s = limit_s
            elif silent_s < patience_s:
                look_s = patience_s
            elif await self._set_aside(attempt, found, timeout_s):
                return None
            else:
                look_s = silent_s + patience_s

    def _patience_with(self, attempt: Attempt) -> float:
        if attempt.answered_count or attempt.scorer is self._warm:
            return self._patience.limit_s
        return self._patience.first_limit_s

    def _note_times(self, attempt: Attempt) -> None:
        if attempt.first_s is not None and attempt.scorer is not self._warm:
            self._patience.note_first(attempt.first_s)
        self._patience.note(attempt.answered_count, took_s=attempt.last_s - attempt.began_s)

    async def _ended(self, attempt: Attempt) -> _Failure | None:
        try:
            is_spent = attempt.reading.result()
        except (asyncio.IncompleteReadError, ConnectionError):
            return self._crash(await self._processes.end())
        self._note_times(attempt)
        self._warm = attempt.scorer
        if is_spent:
            await self._processes.end()
        return None

    async def _set_aside(self, attempt: Attempt, found: dict[int, Outcome], timeout_s: float) -> bool:
        """Let the slow sample have its process, and others another; False where that cannot be, or is not needed."""
        last_s = attempt.last_s
        if not attempt.unanswered or not self._patience.allows_another:
            return False
        self._patience.set_aside()
        try:
            is_aside = await self._processes.set_aside(lambda: attempt.last_s == last_s and not attempt.reading.done())
        except asyncio.CancelledError:
            self._patience.come_back()
            raise
        if not is_aside:
            self._patience.come_back()
            return False
        self._note_times(attempt)
        task = asyncio.get_running_loop().create_task(self._finish(attempt, timeout_s))
        found[attempt.set_aside()] = task
        self._aside.add(task)
        task.add_done_callback(partial(self._leave_aside, attempt))
        return True

    async def _finish(self, attempt: Attempt, timeout_s: float) -> RewardOutput:
        """The output of a sample that was set aside."""
        done, _ = await asyncio.wait({attempt.reading}, timeout=max(0.0, timeout_s - attempt.silent_s))
        if attempt.late_output is not None:
            self._patience.note(1, took_s=attempt.silent_s)
            if attempt.first_s is None and attempt.scorer is not self._warm:
                self._patience.note_first(attempt.silent_s)
            return attempt.late_output
        failure = self._crash(await self._processes.end_aside(attempt.scorer)) if done else self._timeout(timeout_s)
        self._note_end(failure)
        return RewardOutput.failed(*failure)

    def _leave_aside(self, attempt: Attempt, task: asyncio.Task[RewardOutput]) -> None:
        # Not in `_finish`, which is never entered where it is cancelled at once.
        attempt.reading.cancel()
        self._processes.discard_aside(attempt.scorer)
        self._patience.come_back()
        self._aside.discard(task)

    def _timeout(self, timeout_s: float) -> _Failure:
        return FailureKind.TIMEOUT, f"no answer within {timeout_s:g} s; its process was killed"

    def _crash(self, code: int | None) -> _Failure:
        return FailureKind.CRASHED, f"its process ended with {describe_exit(code)}"

    def _note_end(self, failure: _Failure) -> None:
        self.restart_count += 1
        self._crash_loop.ended(failure[1])

    def _blame(self, unanswered: list[int], found: dict[int, Outcome], failure: _Failure) -> list[list[int]]:
        """Fail who ended the attempt; return what is to be tried again, and in which chunks."""
        kind, message = failure
        if self._one_by_one and not self._concurrent:
            culprits, again = unanswered[:1], [unanswered[1:]]
        elif kind is FailureKind.CRASHED and len(unanswered) > 1:
            # A crash costs little, so halves are tried until the sample that crashes is alone. A hang costs its whole
            # deadline each time: there all share the blame.
            middle = len(unanswered) // 2
            culprits, again = [], [unanswered[middle:], unanswered[:middle]]
        else:
            culprits, again = unanswered, []
        if len(culprits) > 1:
            message += f" while it worked on {len(culprits)} samples together"
        for position in culprits:
            found[position] = RewardOutput.failed(kind, message)
        return [chunk for chunk in again if chunk]


def _pickled(samples: Sequence[Sample]) -> tuple[dict[int, bytes], dict[int, Outcome]]:
    """The samples that can travel, by position, and the failures of those that cannot."""
    blobs: dict[int, bytes] = {}
    outputs: dict[int, Outcome] = {}
    for position, sample in enumerate(samples):
        try:
            blobs[position] = pickle.dumps(sample, protocol=5)
        except Exception as error:  # noqa: BLE001 - the boundary: a label's own class may do anything
            message = f"the sample cannot be sent to the reward's process ({error}); send plain values"
            outputs[position] = RewardOutput.failed(FailureKind.INVALID_INPUT, message)
    return blobs, outputs
