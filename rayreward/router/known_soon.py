"""What is known of a call soon, and futures of the rest.

What arrives: parts of a call, and what scores each. What leaves: outcomes, one a sample, in order. A future that is
cancelled gives its sample up; a part whose every sample is given up is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from rayreward.outcome import failed_output
from rayreward.types import RewardOutput
from rayreward.workers.outcomes import Outcome

PATIENCE_S = 0.25
"""How long a call waits for its slowest sample, as a replica's does."""

Scoring = asyncio.Task[list[RewardOutput]]


async def known_soon(
    parts: Sequence[tuple[Sequence[int], Coroutine[Any, Any, list[RewardOutput]]]], *, patience_s: float
) -> list[Outcome]:
    """One outcome a sample, in order, after `patience_s` at the latest.

    Args:
        parts: the positions of each, and what scores it; together they are all positions.
        patience_s: how long all are waited for.
    """
    loop = asyncio.get_running_loop()
    scoring: list[tuple[Sequence[int], Scoring]] = [(positions, loop.create_task(work)) for positions, work in parts]
    if scoring:
        try:
            await asyncio.wait([task for _, task in scoring], timeout=patience_s)
        except asyncio.CancelledError:
            for _, task in scoring:
                task.cancel()
            raise
    outcomes: dict[int, Outcome] = {}
    for positions, task in scoring:
        if task.done():
            outcomes |= zip(positions, _outputs_of(task, len(positions)), strict=True)
        else:
            outcomes |= zip(positions, _late(task, len(positions)), strict=True)
    return [outcomes[at] for at in range(len(outcomes))]


def _outputs_of(task: Scoring, count: int) -> list[RewardOutput]:
    if task.cancelled():
        return [failed_output(asyncio.CancelledError())] * count
    error = task.exception()
    return task.result() if error is None else [failed_output(error)] * count


def _late(task: Scoring, count: int) -> list[asyncio.Future[RewardOutput]]:
    """A future a sample of a part that is under way."""
    loop = asyncio.get_running_loop()
    late: list[asyncio.Future[RewardOutput]] = [loop.create_future() for _ in range(count)]

    def settle(task: Scoring) -> None:
        for future, output in zip(late, _outputs_of(task, count), strict=True):
            if not future.done():
                future.set_result(output)

    def look(_: asyncio.Future[RewardOutput]) -> None:
        if all(map(asyncio.Future.cancelled, late)):
            task.cancel()

    task.add_done_callback(settle)
    for future in late:
        future.add_done_callback(look)
    return late
