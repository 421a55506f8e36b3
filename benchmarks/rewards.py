"""Rewards to measure the plane by: they cost nothing, or only time."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

from rayreward import reward_function

BUSY_S = 0.05
"""For how long `busy` holds its replica, whatever is in a batch."""


@reward_function(isolation="inline")
def trivial(response: str) -> float:
    """The response's length."""
    return float(len(response))


@reward_function(isolation="thread", mode="batch")
def busy(responses: Sequence[str]) -> list[float]:
    """What a GPU looks like from here: it takes its time and burns no CPU."""
    time.sleep(BUSY_S)
    return [1.0] * len(responses)


@reward_function(isolation="inline", timeout_s=60.0)
async def waits(response: str) -> float:
    """Seconds that it has waited, as for a judge: log-normal, and always the same for a response."""
    wait_s = min(10.0, random.Random(response).lognormvariate(0.0, 0.7))
    await asyncio.sleep(wait_s)
    return wait_s


@reward_function(isolation="thread", deterministic=True)
def kept(response: str) -> float:
    """The response's length, known for as long as the cache keeps it; one in twenty fails."""
    number, _, _ = response.partition(" ")
    if int(number) % 20 == 0:
        raise ValueError("one in twenty")
    return float(len(response))
