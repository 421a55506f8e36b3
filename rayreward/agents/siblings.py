"""What the other episodes of a prompt got, where the environment gives the rewards and the router knows none of them.

What arrives: each member of a group once: its reward, or that it has none. What leaves: for one without, the mean of
the others. What it promises: they are waited for, up to a bound (OpenRLHF returns a prompt's episodes together anyway);
where all have failed, the mean of what this process saw lately speaks, and None before the first reward.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from statistics import fmean

from rayreward.agents.groups import Group

_RECENT_COUNT = 512
"""Rewards that the running mean is of: a few steps' worth, so that it follows the policy as it learns."""


@dataclass(slots=True)
class _Tally:
    rewards: list[float] = field(default_factory=list)
    known_count: int = 0
    complete: asyncio.Event = field(default_factory=asyncio.Event)


class Siblings:
    """Means over the groups of one process.

    Args:
        wait_s: how long one that failed waits for the others.
    """

    def __init__(self, wait_s: float) -> None:
        self._wait_s = wait_s
        self._tallies: dict[str, _Tally] = {}
        self._recent: deque[float] = deque(maxlen=_RECENT_COUNT)

    def __len__(self) -> int:
        return len(self._tallies)

    def note(self, group: Group, reward: float | None) -> None:
        """One of the group has ended; None: without a reward."""
        self._tallied(group, reward)

    async def mean_without(self, group: Group) -> float | None:
        """For one that has no reward: the mean of those that do."""
        tally = self._tallied(group, None)
        try:
            async with asyncio.timeout(self._wait_s):
                await tally.complete.wait()
        except TimeoutError:
            pass  # the bound: what is known by now must do
        known = tally.rewards or self._recent
        return fmean(known) if known else None

    def _tallied(self, group: Group, reward: float | None) -> _Tally:
        tally = self._tallies.setdefault(group.id, _Tally())
        tally.known_count += 1
        if reward is not None:
            tally.rewards.append(reward)
            self._recent.append(reward)
        if tally.known_count >= group.size:
            tally.complete.set()
            del self._tallies[group.id]
        return tally
