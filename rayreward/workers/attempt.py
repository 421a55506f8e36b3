"""One process at some samples, one after the other.

What arrives: samples, and the frames of the process that scores them. What leaves: their outputs, as soon as each is
known; and for the one that the process is at when it is set aside, its output alone: those behind it are another's.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Sequence
from typing import Protocol

from rayreward.forking.frames import encode_frame
from rayreward.types import FailureKind, RewardOutput
from rayreward.workers.frames import read_frame
from rayreward.workers.outcomes import Outcome
from rayreward.workers.processes import Scorer
from rayreward.workers.protocol import Done, Scored, Spent, UpTo, Work


class Answered(Protocol):
    """What wants to know that a process has given an output."""

    def answered(self) -> None:
        """It has."""
        ...


class Attempt:
    """The work of one process on one chunk of a batch.

    Args:
        scorer: the process.
        chunk: positions within the batch.
        blobs: the batch's pickled samples by position.
        found: of the batch, by position; outputs are put here.
        watch: is told of each.

    Attributes:
        began_s: by the event loop's clock.
        last_s: of the last answer, or the beginning: what the process is at has taken since.
        reading: ends with the chunk; True where the process has run out of memory.
        answered_count: samples, until then.
        first_s: what the first of them took.
        late_output: of the sample that was set aside.
    """

    def __init__(
        self, scorer: Scorer, chunk: Sequence[int], blobs: dict[int, bytes], found: dict[int, Outcome], watch: Answered
    ) -> None:
        self.scorer, self._chunk, self._found, self._watch = scorer, chunk, found, watch
        self._loop = asyncio.get_running_loop()
        self._is_aside = False
        self.late_output: RewardOutput | None = None
        self.answered_count = 0
        self.first_s: float | None = None
        self.began_s = self.last_s = self._loop.time()
        scorer.writer.write(encode_frame(Work(tuple(blobs[position] for position in chunk))))
        self.reading = self._loop.create_task(self._read())
        self.reading.add_done_callback(_look_at)  # nobody may ask how it has ended

    @property
    def unanswered(self) -> list[int]:
        """Positions of which nothing is known, the one that the process is at first."""
        return [position for position in self._chunk if position not in self._found]

    @property
    def silent_s(self) -> float:
        """How long the process has been at what it is at."""
        return self._loop.time() - self.last_s

    def set_aside(self) -> int:
        """Wait for the sample that the process is at and have it begin no other; its position."""
        self._is_aside = True
        position = self.unanswered[0]
        self.scorer.writer.write(encode_frame(UpTo(self._chunk.index(position))))
        self.scorer.writer.write_eof()
        return position

    async def _read(self) -> bool:
        while True:
            frame = await read_frame(self.scorer.reader)
            if isinstance(frame, Scored):
                output = unpickled(frame.output)
                self._watch.answered()
                if self._is_aside:
                    self.late_output = output
                    return False
                self._found[self._chunk[frame.position]] = output
                self.answered_count += 1
                self.last_s = self._loop.time()
                if self.first_s is None:
                    self.first_s = self.last_s - self.began_s
            elif isinstance(frame, Done):
                return False
            elif isinstance(frame, Spent):
                return True


def _look_at(reading: asyncio.Task[bool]) -> None:
    if not reading.cancelled():
        reading.exception()


def unpickled(blob: bytes) -> RewardOutput:
    """An output as it came, or the failure that it cannot be read."""
    try:
        output: RewardOutput = pickle.loads(blob)
    except Exception as error:  # noqa: BLE001 - the boundary: metadata of a class that only the reward's process has
        message = f"the output cannot leave the reward's process ({error}); put plain values into metadata"
        return RewardOutput.failed(FailureKind.INVALID_OUTPUT, message)
    return output
