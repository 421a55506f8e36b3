"""Scores a data file, a bounded number of batches at once.

What arrives: a data file, an output file, and a way to score a list of samples. What leaves: the output file, complete
and in order. What it promises: however it ends (done, cancelled, an error), the file holds whole lines for the first
rows and nothing else, so that a second call goes on where it stopped; memory is bounded by batches, not by the file.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from rayreward.errors import InvalidOutputError
from rayreward.sample import Sample
from rayreward.scoring.data_file import DataFile, Row
from rayreward.scoring.output_file import OutputFile
from rayreward.types import RewardOutput

Send = Callable[[Sequence[Sample]], Awaitable[list[RewardOutput]]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a scoring is.

    Attributes:
        samples: lines written, those of earlier calls included.
        new_samples: lines written by this call.
        failed: of `samples`, those without a score.
        done_bytes, total_bytes: of the data file; lines are not counted beforehand.
    """

    samples: int
    new_samples: int
    failed: int
    done_bytes: int
    total_bytes: int


async def score_file(
    data: DataFile,
    out: OutputFile,
    send: Send,
    *,
    batch_samples: int,
    batches_at_once: int,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> None:
    """Score every row that `out` lacks.

    Args:
        data: what to score.
        out: where it goes.
        send: scores samples: one output each, in order.
        batch_samples: samples a call of `send`.
        batches_at_once: calls of `send` under way.
        on_progress: told after every batch that is written.
    """
    total_bytes = data.size_bytes
    batches = _batches(data.rows(skip=out.resumed), batch_samples)
    under_way: deque[tuple[list[Row], asyncio.Task[list[RewardOutput]]]] = deque()
    try:
        while True:
            for batch in itertools.islice(batches, batches_at_once - len(under_way)):
                under_way.append((batch, asyncio.create_task(_score(batch, send))))
            if not under_way:
                return
            rows, task = under_way[0]
            out.append(rows, await task)
            under_way.popleft()
            tally = out.tally
            on_progress(
                Progress(
                    tally.samples, tally.samples - out.resumed, tally.failed_count, rows[-1].end_bytes, total_bytes
                )
            )
    finally:
        for _, task in under_way:
            task.cancel()
        await asyncio.gather(*(task for _, task in under_way), return_exceptions=True)


def _batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    while batch := list(itertools.islice(rows, size)):
        yield batch


async def _score(rows: Sequence[Row], send: Send) -> list[RewardOutput]:
    """Malformed rows fail alone; the others are scored."""
    samples = [row.item for row in rows if isinstance(row.item, Sample)]
    scored = await send(samples) if samples else []
    if len(scored) != len(samples):
        raise InvalidOutputError(f"{len(samples)} samples were sent, {len(scored)} outputs came back")
    rest = iter(scored)
    return [next(rest) if isinstance(row.item, Sample) else row.item for row in rows]
