"""One killable worker process.

What arrives: batches of samples and how long a sample may take. What leaves: one output a sample, in order. When
the process hangs or dies, the sample it was at fails (`timeout`, `crashed`), the process is killed and started
again, and the rest of the batch is scored by the new one.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from rayreward.errors import RewardLoadError
from rayreward.outcome import failed_output
from rayreward.types import FailureKind, RewardOutput, Sample
from rayreward.workers.frames import encode_frame, read_frame
from rayreward.workers.protocol import Broken, Done, Ready, Scored

_CHILD = "from rayreward.workers.child import main; main()"

_START_LIMIT_S = 120.0
"""How long a reward may take to load (imports, tables, a model) before its process counts as hung."""


class ProcessWorker:
    """A worker process for one reward; one batch at a time.

    Args:
        blob: the reward, pickled by cloudpickle.
        one_by_one: whether the reward answers sample by sample, so that a hang has one culprit.
        concurrent: whether it works on all samples at once (async rewards).
    """

    def __init__(self, blob: bytes, *, one_by_one: bool, concurrent: bool) -> None:
        self._blob, self._one_by_one, self._concurrent = blob, one_by_one, concurrent
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.version: str | None = None
        self.restart_count = 0

    async def start(self) -> None:
        """Start the process and load the reward.

        Raises:
            RewardLoadError: the reward cannot be loaded; the message is what its code raised.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            # Not asyncio's own subprocesses: under uvloop they fork, which gRPC in a Ray process complains about, and
            # on this very thread, for the child dies with the thread that started it.
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CHILD, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            self._writer.write(encode_frame(self._blob))
            greeting = await asyncio.wait_for(read_frame(self._reader), _START_LIMIT_S)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
            code = await self.stop()
            raise RewardLoadError(
                f"the worker process ended while it loaded the reward ({error!r}, exit {code})"
            ) from error
        if isinstance(greeting, Broken):
            await self.stop()
            raise RewardLoadError(greeting.message)
        if not isinstance(greeting, Ready):
            raise TypeError(f"a worker greeted with {greeting!r}; this is a bug in rayreward")
        self.version = greeting.version

    async def stop(self) -> int | None:
        """Kill the process, where there is one, and return its exit code."""
        if self._writer is not None:
            self._writer.close()
        process, self._process, self._reader, self._writer = self._process, None, None, None
        if process is None:
            return None
        process.kill()
        return await asyncio.to_thread(process.wait)

    async def run(self, samples: Sequence[Sample], timeout_s: float) -> list[RewardOutput]:
        """Score `samples`, each within `timeout_s` (a batch reward: all together)."""
        outputs: dict[int, RewardOutput] = {}
        chunks = [list(range(len(samples)))]
        while chunks:
            chunk = chunks.pop()
            try:
                if self._process is None:
                    await self.start()
                failure = await self._attempt(samples, chunk, outputs, timeout_s)
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
        self, samples: Sequence[Sample], chunk: list[int], outputs: dict[int, RewardOutput], timeout_s: float
    ) -> tuple[FailureKind, str] | None:
        """Send a chunk and collect answers; None when all came, else what ended the attempt."""
        if self._reader is None or self._writer is None:
            raise RuntimeError("a worker without a connection was asked to score; this is a bug in rayreward")
        self._writer.write(encode_frame([samples[position] for position in chunk]))
        try:
            while True:
                frame = await asyncio.wait_for(read_frame(self._reader), timeout_s)
                if isinstance(frame, Done):
                    return None
                if isinstance(frame, Scored):
                    outputs[chunk[frame.position]] = frame.output
        except TimeoutError:
            return FailureKind.TIMEOUT, f"no answer within {timeout_s:g} s; its process was killed"
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await asyncio.to_thread(self._process.wait) if self._process is not None else None
            return FailureKind.CRASHED, f"its process ended with {_describe_exit(code)}"

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


def _describe_exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
