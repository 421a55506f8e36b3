"""Rewards to measure the plane by: they cost nothing, or only time. No answer may come from a cache."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rayreward import reward_function

WAIT_S = 0.05


@reward_function(isolation="inline")
def trivial(response: str) -> float:
    """The response's length."""
    return float(len(response))


@reward_function(isolation="inline", mode="batch")
async def waiting(responses: Sequence[str]) -> list[float]:
    """Waits as a remote model would, the same for any batch."""
    await asyncio.sleep(WAIT_S)
    return [1.0] * len(responses)
