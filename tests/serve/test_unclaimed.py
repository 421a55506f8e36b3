from __future__ import annotations

import asyncio

from rayreward.serve.unclaimed import Late, Unclaimed, replica_of
from rayreward.types import RewardOutput


def late() -> Late:
    return Late(asyncio.get_running_loop().create_future(), "v", 0.0)


async def test_a_ticket_is_good_once() -> None:
    unclaimed, kept = Unclaimed("r1"), late()
    ticket = unclaimed.keep(kept)
    assert replica_of(ticket) == "r1"
    assert unclaimed.claim("of another replica") is None
    assert unclaimed.claim(ticket) is kept
    assert unclaimed.claim(ticket) is None


async def test_what_nobody_asks_for_is_given_up_and_what_was_asked_for_is_not() -> None:
    unclaimed, claimed, forgotten = Unclaimed("r1", wait_s=0.0), late(), late()
    unclaimed.claim(unclaimed.keep(claimed))
    unclaimed.keep(forgotten)
    await asyncio.wait({forgotten.output})
    assert forgotten.output.cancelled()
    assert len(unclaimed) == 0
    claimed.output.set_result(RewardOutput(1.0))
