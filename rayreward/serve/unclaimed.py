"""Slow samples of a replica whose calls were answered without them.

What arrives: outputs that are still under way. What leaves: a ticket for each; and for a ticket, once, what it is for.
What nobody asks for is given up after some seconds: its caller, or its router, is gone.

A ticket names the replica that gave it: whoever asks by it asks there.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass

from rayreward.types import RewardOutput

_UNCLAIMED_S = 2.0
"""A router asks within milliseconds; where it is gone, this works in vain for so long."""


@dataclass(frozen=True, slots=True)
class Late:
    """An output that is still under way.

    Attributes:
        output: to cancel it gives the sample up.
        version: of the reward that scores it.
        started_s: when its call came, by `time.perf_counter`.
    """

    output: asyncio.Future[RewardOutput]
    version: str
    started_s: float


class Unclaimed:
    """What was not asked for yet.

    Args:
        replica: whose it is.
        wait_s: how long it is kept.
    """

    def __init__(self, replica: str, *, wait_s: float = _UNCLAIMED_S) -> None:
        self._replica, self._wait_s = replica, wait_s
        self._kept: dict[str, tuple[Late, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, late: Late) -> str:
        """Keep it for who asks by the ticket that is returned."""
        ticket = f"{self._replica}/{uuid.uuid4().hex}"
        timer = asyncio.get_running_loop().call_later(self._wait_s, self._give_up, ticket)
        self._kept[ticket] = late, timer
        return ticket

    def claim(self, ticket: str) -> Late | None:
        """What the ticket is for; None where another replica gave it, or it was asked for too late or before."""
        kept = self._kept.pop(ticket, None)
        if kept is None:
            return None
        late, timer = kept
        timer.cancel()
        return late

    def _give_up(self, ticket: str) -> None:
        late, _ = self._kept.pop(ticket)
        late.output.cancel()


def replica_of(ticket: str) -> str:
    """Who gave it."""
    return ticket.rpartition("/")[0]
