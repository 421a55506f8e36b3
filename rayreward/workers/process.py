"""One worker: a process that scores, and can be killed.

What arrives: batches of samples and how long a sample may take. What leaves: one output a sample, in order. When
the process hangs or dies, the sample it was at fails (`timeout`, `crashed`), the process is killed with all that it
started, and another scores the rest of the batch.
"""

from __future__ import annotations

import asyncio
import pickle
import sys
from collections.abc import Sequence

from rayreward.errors import RewardLoadError
from rayreward.forking.frames import encode_frame
from rayreward.forking.zygote import describe_exit
from rayreward.outcome import failed_output
from rayreward.types import FailureKind, RewardOutput, Sample
from rayreward.workers.crash_loop import CrashLoop
from rayreward.workers.frames import read_frame
from rayreward.workers.processes import RewardProcesses, Scorer
from rayreward.workers.protocol import Done, Load, Scored, Spent, Work

_ASYNC_GRACE_S = 1.0
"""Async rewards keep their deadline themselves, each sample its own; only a loop that is blocked is killed, this much
later."""


class ProcessWorker:
    """A killable process for one reward; one batch at a time.

    Args:
        blob: the reward, pickled by cloudpickle.
        one_by_one: whether the reward answers sample by sample, so that a hang has one culprit.
        concurrent: whether it works on all samples at once (async rewards).
        memory_bytes: what the process may take beside what is loaded.
        name: of the reward, for the log.
    """

    def __init__(self, blob: bytes, *, one_by_one: bool, concurrent: bool, memory_bytes: int, name: str) -> None:
        self._processes = RewardProcesses(Load(blob, tuple(sys.path), memory_bytes))
        self._one_by_one, self._concurrent = one_by_one, concurrent
        self._crash_loop = CrashLoop(name)
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

    async def run(self, samples: Sequence[Sample], timeout_s: float) -> list[RewardOutput]:
        """Score `samples`, each within `timeout_s` (a batch reward: all together)."""
        blobs, outputs = _pickled(samples)
        chunks = [sorted(blobs)] if blobs else []
        while chunks:
            chunk = chunks.pop()
            try:
                scorer = await self._scorer()
                failure = await self._attempt(scorer, blobs, chunk, outputs, timeout_s)
            except asyncio.CancelledError:
                await self._processes.end()  # it still works on a batch nobody waits for
                raise
            except RewardLoadError as error:
                return [outputs.get(at) or failed_output(error) for at in range(len(samples))]
            unanswered = [at for at in chunk if at not in outputs]
            if failure is not None:
                await self._processes.end()
                self.restart_count += 1
                self._crash_loop.ended(failure[1])
                chunks += self._blame(unanswered, outputs, failure)
            elif unanswered:
                chunks.append(unanswered)
        return [outputs[position] for position in range(len(samples))]

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

    async def _attempt(
        self,
        scorer: Scorer,
        blobs: dict[int, bytes],
        chunk: list[int],
        outputs: dict[int, RewardOutput],
        timeout_s: float,
    ) -> tuple[FailureKind, str] | None:
        """Send a chunk and collect answers; None when the process had no trouble, else what ended the attempt."""
        limit_s = timeout_s + (_ASYNC_GRACE_S if self._concurrent else 0.0)
        scorer.writer.write(encode_frame(Work(tuple(blobs[position] for position in chunk))))
        try:
            while True:
                async with asyncio.timeout(limit_s):  # not wait_for: Python 3.11's makes a task a frame
                    frame = await read_frame(scorer.reader)
                if isinstance(frame, Scored):
                    outputs[chunk[frame.position]] = _unpickled(frame.output)
                    self._crash_loop.answered()
                elif isinstance(frame, Done):
                    return None
                elif isinstance(frame, Spent):
                    await self._processes.end()
                    return None
        except TimeoutError:
            return FailureKind.TIMEOUT, f"no answer within {timeout_s:g} s; its process was killed"
        except (asyncio.IncompleteReadError, ConnectionError):
            return FailureKind.CRASHED, f"its process ended with {describe_exit(await self._processes.end())}"

    def _blame(
        self, unanswered: list[int], outputs: dict[int, RewardOutput], failure: tuple[FailureKind, str]
    ) -> list[list[int]]:
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
            outputs[position] = RewardOutput.failed(kind, message)
        return [chunk for chunk in again if chunk]


def _pickled(samples: Sequence[Sample]) -> tuple[dict[int, bytes], dict[int, RewardOutput]]:
    """The samples that can travel, by position, and the failures of those that cannot."""
    blobs: dict[int, bytes] = {}
    outputs: dict[int, RewardOutput] = {}
    for position, sample in enumerate(samples):
        try:
            blobs[position] = pickle.dumps(sample, protocol=5)
        except Exception as error:  # noqa: BLE001 - the boundary: a label's own class may do anything
            message = f"the sample cannot be sent to the reward's process ({error}); send plain values"
            outputs[position] = RewardOutput.failed(FailureKind.INVALID_INPUT, message)
    return blobs, outputs


def _unpickled(blob: bytes) -> RewardOutput:
    try:
        output: RewardOutput = pickle.loads(blob)
    except Exception as error:  # noqa: BLE001 - the boundary: metadata of a class that only the reward's process has
        message = f"the output cannot leave the reward's process ({error}); put plain values into metadata"
        return RewardOutput.failed(FailureKind.INVALID_OUTPUT, message)
    return output
