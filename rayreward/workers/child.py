"""The worker processes: one loads the reward; one, forked from it, scores what it is sent until it is killed.

What arrives at the first: `Load`, then requests to fork (`rayreward.forking.server`). What leaves: `Ready` or `Broken`.
What arrives at a scorer: `Work` after `Work`. What leaves: for each batch one `Scored` a sample as soon as it is known,
and `Done`; told `UpTo` on the way, it ends with that sample. One event loop lives as long as the scorer, so that what
an async reward opens in one batch still works in the next. Where a fork would not be as good as a fresh start, the
process that has loaded the reward scores itself. When the replica dies, however suddenly, these processes and all that
the reward started die too, whatever they are doing.
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import random
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import cloudpickle

from rayreward.boundary import score_guarded
from rayreward.forking.fitness import open_descriptors, what_forbids_forks
from rayreward.forking.frames import encode_frame, receive
from rayreward.forking.server import begin, give_room, limit_memory, serve
from rayreward.function import RewardFunction
from rayreward.outcome import OUT_OF_MEMORY, failed_output
from rayreward.plain import plain
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput
from rayreward.workers.protocol import Broken, Done, Load, Ready, Scored, Spent, UpTo, Work

_LONG_S = 0.02
"""A sample that took less was set aside by nobody: no need to look."""

Answer = Callable[[int, RewardOutput], None]


def main() -> None:
    """Serve one replica, over the socket whose number is the last argument, until it hangs up."""
    control = begin()
    told: Load = receive(control)
    known = open_descriptors()
    try:
        reward = _load(told)
        version = reward.version
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the boundary: user code loads here; its replica hears why
        control.sendall(encode_frame(Broken(str(failed_output(error).failure))))
        return
    why_no_forks = what_forbids_forks(known)
    control.sendall(encode_frame(Ready(version, why_no_forks)))
    if why_no_forks is not None:
        _score(control, reward, told.memory_bytes)
        return
    drawn = random.getstate()

    def score(connection: socket.socket) -> None:
        random.setstate(drawn)  # a fork seeds it anew; load() may have seeded it on purpose
        _score(connection, reward, told.memory_bytes)

    serve(control, score)


def _load(told: Load) -> RewardFunction:
    sys.path[:] = [*told.path, *(folder for folder in sys.path if folder not in told.path)]
    reward: RewardFunction = cloudpickle.loads(told.blob)
    reward.load()
    return reward


def _score(connection: socket.socket, reward: RewardFunction, memory_bytes: int) -> None:
    """Answer batches until the replica hangs up, or the memory is spent."""
    limit_memory(memory_bytes)
    scorer = _Scorer(connection, reward, memory_bytes)
    with asyncio.Runner() as runner, contextlib.suppress(EOFError, ConnectionError):
        while not scorer.is_spent:
            told = receive(connection)
            if isinstance(told, UpTo):
                break  # it came when all was answered, and nothing follows it
            runner.run(scorer.score(told))
            connection.sendall(encode_frame(Spent() if scorer.is_spent else Done()))


class _Scorer:
    """Sends every output as soon as it is known, so that a later hang cannot take it away."""

    def __init__(self, connection: socket.socket, reward: RewardFunction, memory_bytes: int) -> None:
        self._connection, self._reward, self._memory_bytes = connection, reward, memory_bytes
        self._last_position: int | None = None
        self.is_spent = False

    async def score(self, work: Work) -> None:
        """Answer a batch; where the memory is spent on the way, only what came before."""
        samples = _unpickled(work, self._answer)
        if not self._reward.scores_one_by_one:
            outputs = await self._outputs(list(samples.values()))
            for position, output in zip(samples, outputs, strict=True):
                self._answer(position, output)
        elif self._reward.is_async:
            await asyncio.gather(*(self._score_one(position, sample) for position, sample in samples.items()))
        else:
            for position, sample in samples.items():
                began_s = time.monotonic()
                await self._score_one(position, sample)
                took_long = time.monotonic() - began_s > _LONG_S
                if self.is_spent or ((took_long or self._last_position is not None) and self._is_last(position)):
                    return

    def _is_last(self, position: int) -> bool:
        """Whether the samples behind this one are another's, who was not held up; or nobody's any longer."""
        try:
            if self._last_position is None and self._connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                told: UpTo = receive(self._connection)
                self._last_position = told.position
        except BlockingIOError:
            return False
        return self._last_position is None or position >= self._last_position

    async def _score_one(self, position: int, sample: Sample) -> None:
        [output] = await self._outputs([sample])
        self._answer(position, output)

    async def _outputs(self, samples: list[Sample]) -> list[RewardOutput]:
        try:
            return await score_guarded(self._reward.ascore, samples)
        except MemoryError:  # there was no room for the first one's traceback
            give_room()
            return [RewardOutput.failed(FailureKind.ERROR, OUT_OF_MEMORY) for _ in samples]

    def _answer(self, position: int, output: RewardOutput) -> None:
        failure = output.failure
        if failure is not None and failure.message.startswith(OUT_OF_MEMORY):
            # What fills the memory may stay where it is: the next sample would find no room either.
            self.is_spent = True
            give_room()
            remedy = (
                f"its process may take {self._memory_bytes / 2**30:g} GiB beside what load() left: raise memory_bytes"
            )
            output = replace(output, failure=replace(failure, message=f"{failure.message}; {remedy}"))
        self._connection.sendall(encode_frame(Scored(position, _pickled(output))))


def _unpickled(work: Work, answer: Answer) -> Mapping[int, Sample]:
    """The samples that can be read here, by position; the others are answered."""
    samples: dict[int, Sample] = {}
    for position, blob in enumerate(work.samples):
        try:
            samples[position] = pickle.loads(blob)
        except Exception as error:  # noqa: BLE001 - the boundary: a label's own class may do anything
            message = f"the sample cannot be read in the reward's process ({error}); send plain values"
            answer(position, RewardOutput.failed(FailureKind.INVALID_INPUT, message))
    return samples


def _pickled(output: RewardOutput) -> bytes:
    try:
        return pickle.dumps(output, protocol=5)
    except Exception:  # noqa: BLE001 - the boundary: metadata holds what a reward put there; the score is worth keeping
        fields = {name: getattr(output, name) for name in RewardOutput.__slots__}
        return pickle.dumps(RewardOutput(**{**fields, "metadata": plain(output.metadata)}), protocol=5)
