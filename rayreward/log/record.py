"""One line a sample, appended to a JSON Lines file beside the scoring, never in its way.

What arrives: `LogRecord` values. What leaves: lines in ``<folder>/rewards-<writer>.jsonl``, written by a thread in
batches. When the disk cannot follow, records are dropped and counted rather than held: a log cannot hurt a request.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from rayreward.plain import plain
from rayreward.sample import Sample
from rayreward.types import RewardOutput

_MAX_WAITING = 50_000
"""Records in memory before new ones are dropped; some 100 MB at the text limit below."""

_MAX_TEXT_CHARS = 2_000
"""Of prompt and response kept a record; the end of a long text says more than its start, so the end is kept."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """What is remembered of one sample.

    Attributes:
        time_s: when it was answered, seconds since 1970.
        step: the training's, where its trainer knows it.
        answered: the number that the caller got: the score, or what the failure policy put in its place.
        components: raw scores by name; None for a component that failed.
        is_shadow: whether a candidate scored it for comparison only; nobody was told, and `answered` is None.
    """

    time_s: float
    run: str | None
    step: int | None
    reward: str
    version: str | None
    id: str | None
    group_id: str | None
    score: float | None
    answered: float | None
    failure_kind: str | None
    failure_message: str | None
    reason: str | None
    components: dict[str, float | None]
    prompt: str
    response: str
    label: Any
    queued_s: float | None
    scored_s: float | None
    batch_samples: int | None
    is_shadow: bool = False

    @classmethod
    def of(
        cls,
        reward: str,
        sample: Sample,
        output: RewardOutput,
        *,
        run: str | None = None,
        step: int | None = None,
        answered: float | None = None,
        is_shadow: bool = False,
    ) -> LogRecord:
        """The record of one sample."""
        failure, timings = output.failure, output.timings
        return cls(
            time_s=time.time(),
            run=run,
            step=step,
            reward=reward,
            version=output.version,
            id=sample.id,
            group_id=sample.group_id,
            score=output.score,
            answered=answered,
            failure_kind=failure.kind.value if failure else None,
            failure_message=failure.message if failure else None,
            reason=output.reason,
            components={name: metric.score for name, metric in output.metrics.items()},
            prompt=sample.prompt[-_MAX_TEXT_CHARS:],
            response=sample.response[-_MAX_TEXT_CHARS:],
            label=sample.label,
            queued_s=timings.queued_s if timings else None,
            scored_s=timings.scored_s if timings else None,
            batch_samples=timings.batch_samples if timings else None,
            is_shadow=is_shadow,
        )


class RewardLog:
    """Appends records to a file from a thread of its own.

    Args:
        folder: made where it is missing.
        writer: tells the files of several writers apart.

    Raises:
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: str | Path, *, writer: str) -> None:
        self.path = Path(folder) / f"rewards-{writer}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("ab", buffering=0)
        self._is_torn = False
        self._waiting: queue.Queue[LogRecord | None] = queue.Queue(_MAX_WAITING)
        self.dropped_count = 0
        self._thread = threading.Thread(target=self._write, name="rayreward-log", daemon=True)
        self._thread.start()

    def add(self, record: LogRecord) -> None:
        """Hand a record over; never waits."""
        try:
            self._waiting.put_nowait(record)
        except queue.Full:
            self.dropped_count += 1

    def close(self) -> None:
        """Write what waits and close the file."""
        self._waiting.put(None)
        self._thread.join()

    def _write(self) -> None:
        while True:
            records = [self._waiting.get()]
            while len(records) < 1024 and not self._waiting.empty():
                records.append(self._waiting.get_nowait())
            self._append([encode_record(record) for record in records if record is not None])
            if None in records:
                self._file.close()
                return

    def _append(self, lines: list[bytes]) -> None:
        """Write lines; a full disk loses some of them, counted, and never the ones that come after."""
        data = b"".join([b"\n", *lines] if self._is_torn else lines)
        written = 0
        try:
            while written < len(data):
                written += self._file.write(data[written:])
            self._is_torn = False
        except OSError:
            self._is_torn = self._is_torn or written > 0  # perhaps in the middle of a line, which the next one must end
            self.dropped_count += len(lines) - data[:written].count(b"\n")


def encode_record(record: LogRecord) -> bytes:
    """A record as one line of JSON."""
    try:
        return msgspec.json.encode(record, enc_hook=plain) + b"\n"
    except Exception:  # noqa: BLE001 - a lone surrogate, or a label that JSON cannot hold
        return msgspec.json.encode(plain(record)) + b"\n"
