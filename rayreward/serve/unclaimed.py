"""Slow samples whose calls were answered without them.

What arrives: outputs that are still under way. What leaves: a ticket for each; and for tickets what is known by now:
asked in time, each output once. What nobody asks for is given up after some seconds: its caller is gone.

A ticket names who gave it: whoever asks by it asks there. One question carries all that its asker waits for, and is
answered when one of them is known, a little later for those that come soon after it, and after a second at the latest:
so a caller that has gone is noticed, and many slow samples cost few calls.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from rayreward.batches import NOT_KNOWN_YET, EarlyBatch, OutputBatch, Rest
from rayreward.outcome import failed_output
from rayreward.types import RewardOutput

UNCLAIMED_S = 5.0
"""A router is back within milliseconds; where it is gone, this works in vain for so long."""

CLIENTS_UNCLAIMED_S = 30.0
"""A trainer's process may do nothing else for seconds, while its weights are exchanged say; what it had asked for would
be scored once more, a judge paid twice."""

_CANCELLED_S = 2.0
"""Who has taken a question back mostly wants none of it any more, and asks again at once for what it wants."""

_HOLD_S = 1.0
"""How long a question waits for news."""

_LINGER_SHARE = 0.05
"""Of the time that the slowest has taken already: so much longer waits the first of them that is known for others."""

Stamp = Callable[[RewardOutput], RewardOutput]


@dataclass(frozen=True, slots=True)
class Late:
    """An output that is still under way.

    Attributes:
        output: to cancel it gives the sample up.
        started_s: when its call came, by `time.perf_counter`.
        stamp: what is done to the output when it leaves.
    """

    output: asyncio.Future[RewardOutput]
    started_s: float
    stamp: Stamp

    @property
    def stamped(self) -> RewardOutput:
        """The output, which is known."""
        error = self.output.exception()
        return self.stamp(self.output.result() if error is None else failed_output(error))


class Unclaimed:
    """What was not asked for yet.

    Args:
        owner: who gives the tickets; no other may have its name.
        wait_s: how long it is kept.
        hold_s: how long a question waits for news.
    """

    def __init__(self, owner: str, *, wait_s: float = UNCLAIMED_S, hold_s: float = _HOLD_S) -> None:
        self._owner, self._wait_s, self._hold_s = owner, wait_s, hold_s
        self._kept: dict[str, tuple[Late, asyncio.TimerHandle]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def begun(self, outcomes: Sequence[RewardOutput | asyncio.Future[RewardOutput]]) -> OutputBatch:
        """What is known of a call that has just been looked at, as it is, and tickets for the rest, if there is any."""
        known = [outcome for outcome in outcomes if isinstance(outcome, RewardOutput)]
        if len(known) == len(outcomes):
            return OutputBatch(known)
        return self.early(outcomes, started_s=time.perf_counter(), stamp=lambda output: output)

    def early(
        self, outcomes: Sequence[RewardOutput | asyncio.Future[RewardOutput]], *, started_s: float, stamp: Stamp
    ) -> EarlyBatch:
        """What is known of a call, and tickets for the rest."""
        outputs: list[RewardOutput] = []
        tickets: dict[int, str] = {}
        for position, outcome in enumerate(outcomes):
            if isinstance(outcome, RewardOutput):
                outputs.append(stamp(outcome))
            else:
                tickets[position] = self.keep(Late(outcome, started_s, stamp))
                outputs.append(NOT_KNOWN_YET)
        return EarlyBatch.without(outputs, tickets)

    def keep(self, late: Late) -> str:
        """Keep it for who asks by the ticket that is returned."""
        ticket = f"{self._owner}/{uuid.uuid4().hex}"  # nobody else can guess it: some travel by HTTP
        self._keep(ticket, late, self._wait_s)
        return ticket

    async def rest(self, tickets: Sequence[str]) -> Rest:
        """What is known by now; the tickets of what is not still hold."""
        claimed = {at: late for at, ticket in enumerate(tickets) if (late := self._claim(ticket)) is not None}
        try:
            await self._until_some_are_known(list(claimed.values()))
        except asyncio.CancelledError:
            for at, late in claimed.items():
                self._keep(tickets[at], late, min(_CANCELLED_S, self._wait_s))
            raise
        known = {at: late for at, late in claimed.items() if late.output.done()}
        for at in claimed.keys() - known.keys():
            self._keep(tickets[at], claimed[at], self._wait_s)
        ended = {at: late for at, late in known.items() if not late.output.cancelled()}
        unknown = [at for at in range(len(tickets)) if at not in claimed or (at in known and at not in ended)]
        return Rest(OutputBatch(late.stamped for late in ended.values()), list(ended), unknown)

    async def _until_some_are_known(self, lates: Sequence[Late]) -> None:
        waiting: Collection[asyncio.Future[RewardOutput]] = {late.output for late in lates}
        if waiting:
            known, waiting = await asyncio.wait(waiting, timeout=self._hold_s, return_when=asyncio.FIRST_COMPLETED)
            if known and waiting:
                age_s = time.perf_counter() - min(late.started_s for late in lates)
                await asyncio.wait(waiting, timeout=min(self._hold_s, _LINGER_SHARE * age_s))

    def _keep(self, ticket: str, late: Late, wait_s: float) -> None:
        timer = asyncio.get_running_loop().call_later(wait_s, self._give_up, ticket)
        self._kept[ticket] = late, timer

    def _claim(self, ticket: str) -> Late | None:
        """What the ticket is for; None where another gave it, or it was asked for too late or before."""
        late, timer = self._kept.pop(ticket, (None, None))
        if timer is not None:
            timer.cancel()
        return late

    def _give_up(self, ticket: str) -> None:
        late, _ = self._kept.pop(ticket)
        late.output.cancel()


def owner_of(ticket: str) -> str:
    """Who gave it."""
    return ticket.rpartition("/")[0]
