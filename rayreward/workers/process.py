"""One killable worker process.

What arrives: batches of samples and how long a sample may take. What leaves: one output a sample, in order. When
the process hangs or dies, the sample it was at fails (`timeout`, `crashed`), the process is killed and started
again, and the rest of the batch is scored by the new one.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence

from rayreward.errors import RewardLoadError
from rayreward.types import FailureKind, RewardOutput, Sample
from rayreward.workers.frames import encode_frame, read_frame
from rayreward.workers.protocol import Broken, Done, Ready, Scored

_CHILD = "from rayreward.workers.child import main; main()"

_START_LIMIT_S = 120.0
"""How long a reward may take to load (imports, tables, a model) before its process counts as hung."""

_MAX_STARTS_WITHOUT_ANSWER = 3
"""Starts in a row that gave no output at all before the rest of a batch is given up as crashed."""


class ProcessWorker:
    """A worker process for one reward; one batch at a time.

    Args:
        blob: the reward, pickled by cloudpickle.
        one_by_one: whether the reward answers sample by sample, so that a hang has one culprit.
        concurrent: whether it works on all samples at once (async rewards).
    """

    def __init__(self, blob: bytes, *, one_by_one: bool, concurrent: bool) -> None:
        self._blob, self._one_by_one, self._concurrent = blob, one_by_one, concurrent
        self._process: asyncio.subprocess.Process | None = None
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
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", _CHILD, str(theirs.fileno()), pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
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
        if process.returncode is None:
            process.kill()
        return await process.wait()

    async def run(self, samples: Sequence[Sample], timeout_s: float) -> list[RewardOutput]:
        """Score `samples`, each within `timeout_s` (a batch reward: all together)."""
        outputs: dict[int, RewardOutput] = {}
        starts_without_answer = 0
        while len(outputs) < len(samples):
            pending = [position for position in range(len(samples)) if position not in outputs]
            before = len(outputs)
            try:
                if self._process is None:
                    await self.start()
                failure = await self._attempt(samples, pending, outputs, timeout_s)
            except asyncio.CancelledError:
                await self.stop()  # the child still works on a batch nobody waits for
                raise
            except RewardLoadError as error:
                failure, starts_without_answer = (FailureKind.UNAVAILABLE, str(error)), _MAX_STARTS_WITHOUT_ANSWER
            if failure is None:
                continue
            await self.stop()
            self.restart_count += 1
            starts_without_answer = starts_without_answer + 1 if len(outputs) == before else 0
            self._blame(pending, outputs, failure, give_up=starts_without_answer >= _MAX_STARTS_WITHOUT_ANSWER)
        return [outputs[position] for position in range(len(samples))]

    async def _attempt(
        self, samples: Sequence[Sample], pending: list[int], outputs: dict[int, RewardOutput], timeout_s: float
    ) -> tuple[FailureKind, str] | None:
        """Send what is pending and collect answers; None when all came, else what ended the attempt."""
        if self._reader is None or self._writer is None:
            raise RuntimeError("a worker without a connection was asked to score; this is a bug in rayreward")
        self._writer.write(encode_frame([samples[position] for position in pending]))
        try:
            while True:
                frame = await asyncio.wait_for(read_frame(self._reader), timeout_s)
                if isinstance(frame, Done):
                    return None
                if isinstance(frame, Scored):
                    outputs[pending[frame.position]] = frame.output
        except TimeoutError:
            return FailureKind.TIMEOUT, f"no answer within {timeout_s:g} s; its process was killed"
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await self._process.wait() if self._process is not None else None
            return FailureKind.CRASHED, f"its process ended with {_describe_exit(code)}"

    def _blame(
        self, pending: list[int], outputs: dict[int, RewardOutput], failure: tuple[FailureKind, str], *, give_up: bool
    ) -> None:
        """Fail the sample that was being worked on; all unanswered ones where that cannot be told."""
        unanswered = [position for position in pending if position not in outputs]
        alone = self._one_by_one and not self._concurrent and not give_up
        culprits = unanswered[:1] if alone else unanswered
        kind, message = failure
        if len(culprits) > 1:
            message += f" while it worked on {len(culprits)} samples together"
        for position in culprits:
            outputs[position] = RewardOutput.failed(kind, message)


def _describe_exit(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
