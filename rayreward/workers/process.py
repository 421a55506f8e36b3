"""One killable worker process.

What arrives: batches of samples and how long a sample may take. What leaves: one output a sample, in order. When
the process hangs or dies, the sample it was at fails (`timeout`, `crashed`), the process is killed with all that it
started, and a new one scores the rest of the batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from rayreward.errors import RewardLoadError
from rayreward.forking.frames import encode_frame
from rayreward.outcome import failed_output
from rayreward.types import FailureKind, RewardOutput, Sample
from rayreward.workers.frames import read_frame
from rayreward.workers.protocol import Broken, Done, Load, Ready, Scored, Work

_CHILD = "from rayreward.workers.child import main; main()"

_START_LIMIT_S = 120.0
"""How long a reward may take to load (imports, tables, a model) before its process counts as hung."""

_ASYNC_GRACE_S = 1.0
"""Async rewards keep their deadline themselves, each sample its own; only a loop that is blocked is killed, this much
later."""

_STDERR = 2
"""Where the prints of rewards go: their replica's standard output may be data."""


class ProcessWorker:
    """A worker process for one reward; one batch at a time.

    Args:
        blob: the reward, pickled by cloudpickle.
        one_by_one: whether the reward answers sample by sample, so that a hang has one culprit.
        concurrent: whether it works on all samples at once (async rewards).
    """

    def __init__(self, blob: bytes, *, one_by_one: bool, concurrent: bool) -> None:
        self._load = Load(blob, tuple(sys.path))
        self._one_by_one, self._concurrent = one_by_one, concurrent
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._is_closed = False
        self.restart_count = 0

    @property
    def pid(self) -> int | None:
        """The process that is running, if one is."""
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Start the process and load the reward; whatever goes wrong, no process is left.

        Raises:
            RewardLoadError: the reward cannot be loaded; the message is what its code raised.
        """
        if self._is_closed:
            raise RewardLoadError("the reward's worker was closed")
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # Not asyncio's own subprocesses: under uvloop they fork, which gRPC in a Ray process complains about. A
                # session of its own makes it the head of all that it starts; its standard input ends with this process.
                self._process = subprocess.Popen(  # noqa: ASYNC220 - vfork: it returns within a millisecond or two
                    [sys.executable, "-c", _CHILD, str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.PIPE,
                    stdout=_STDERR,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise RewardLoadError(f"no worker process could be started: {error}") from error
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            self._writer.write(encode_frame(self._load))
            greeting = await asyncio.wait_for(read_frame(self._reader), _START_LIMIT_S)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
            ended = _describe_exit(await self.stop())
            raise RewardLoadError(f"the worker process ended while it loaded the reward: {ended}") from error
        if isinstance(greeting, Broken):
            raise RewardLoadError(greeting.message)
        if not isinstance(greeting, Ready):
            raise TypeError(f"a worker greeted with {greeting!r}; this is a bug in rayreward")

    async def stop(self) -> int | None:
        """Kill the process and what it started, where there is one, and return its exit code."""
        if self._writer is not None:
            self._writer.close()
        process, self._process, self._reader, self._writer = self._process, None, None, None
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdin is not None:
            process.stdin.close()
        return await asyncio.to_thread(process.wait)

    async def close(self) -> None:
        """Stop for good: what is under way fails, and nothing starts again."""
        self._is_closed = True
        await self.stop()

    async def run(self, samples: Sequence[Sample], timeout_s: float) -> list[RewardOutput]:
        """Score `samples`, each within `timeout_s` (a batch reward: all together)."""
        blobs, outputs = _pickled(samples)
        chunks = [sorted(blobs)] if blobs else []
        while chunks:
            chunk = chunks.pop()
            try:
                if self._process is not None and self._process.poll() is not None:
                    await self.stop()  # it died between two batches: nobody in this one is to blame
                if self._process is None:
                    await self.start()
                failure = await self._attempt(blobs, chunk, outputs, timeout_s)
            except asyncio.CancelledError:
                await self.stop()  # the child still works on a batch nobody waits for
                raise
            except RewardLoadError as error:
                return [outputs.get(at) or failed_output(error) for at in range(len(samples))]
            if failure is not None:
                await self.stop()
                self.restart_count += 1
                chunks += self._blame([at for at in chunk if at not in outputs], outputs, failure)
        return [outputs[position] for position in range(len(samples))]

    async def _attempt(
        self, blobs: dict[int, bytes], chunk: list[int], outputs: dict[int, RewardOutput], timeout_s: float
    ) -> tuple[FailureKind, str] | None:
        """Send a chunk and collect answers; None when all came, else what ended the attempt."""
        if self._reader is None or self._writer is None:
            raise RuntimeError("a worker without a connection was asked to score; this is a bug in rayreward")
        limit_s = timeout_s + (_ASYNC_GRACE_S if self._concurrent else 0.0)
        self._writer.write(encode_frame(Work(tuple(blobs[position] for position in chunk))))
        try:
            while True:
                async with asyncio.timeout(limit_s):  # not wait_for: Python 3.11's makes a task a frame
                    frame = await read_frame(self._reader)
                if isinstance(frame, Done):
                    return None
                if isinstance(frame, Scored):
                    outputs[chunk[frame.position]] = _unpickled(frame.output)
        except TimeoutError:
            return FailureKind.TIMEOUT, f"no answer within {timeout_s:g} s; its process was killed"
        except (asyncio.IncompleteReadError, ConnectionError):
            return FailureKind.CRASHED, f"its process ended with {_describe_exit(await self.stop())}"

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


def _describe_exit(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    names = {member.value: member.name for member in signal.Signals}
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"signal {names.get(-code, -code)}{hint}"
