"""What is known of a batch while some of its samples are still under way.

What arrives: outcomes, one a sample: an output, or a future of it. What leaves: outputs, or nothing where nobody waits
for them any longer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from rayreward.types import RewardOutput

Outcome = RewardOutput | asyncio.Future[RewardOutput]
"""An output, or one that comes later; to cancel the future gives the sample up."""


async def settled(outcomes: Sequence[Outcome]) -> list[RewardOutput]:
    """The outputs, when all are known; where this is cancelled, all that are under way are given up."""
    late = [outcome for outcome in outcomes if not isinstance(outcome, RewardOutput)]
    if late:
        try:
            await asyncio.wait(late)
        except asyncio.CancelledError:
            give_up(late)
            raise
    return [outcome if isinstance(outcome, RewardOutput) else outcome.result() for outcome in outcomes]


def give_up(outcomes: Iterable[Outcome]) -> None:
    """Nobody waits for these any longer."""
    for outcome in outcomes:
        if not isinstance(outcome, RewardOutput):
            outcome.cancel()
