from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from rayreward.serve.unclaimed import Late, Unclaimed, owner_of
from rayreward.types import RewardOutput

T = TypeVar("T")


def late() -> Late:
    return Late(asyncio.get_running_loop().create_future(), 0.0, lambda output: output)


async def soon(work: Awaitable[T]) -> T:
    async with asyncio.timeout(10):
        return await work


async def test_a_ticket_says_who_gave_it_and_is_good_for_one_output() -> None:
    unclaimed, kept = Unclaimed("r1"), late()
    ticket = unclaimed.keep(kept)
    assert owner_of(ticket) == "r1"
    kept.output.set_result(RewardOutput(1.0))
    found = await soon(unclaimed.rest([ticket, "r2/0"]))
    assert ([output.score for output in found.outputs], found.positions, found.unknown) == ([1.0], [0], [1])
    assert (await soon(unclaimed.rest([ticket]))).unknown == [0]


async def test_a_question_is_answered_when_one_is_known_and_the_other_tickets_still_hold() -> None:
    unclaimed, first, second = Unclaimed("r1", hold_s=0.01), late(), late()
    tickets = [unclaimed.keep(first), unclaimed.keep(second)]
    second.output.set_result(RewardOutput(2.0))
    found = await soon(unclaimed.rest(tickets))
    assert ([output.score for output in found.outputs], found.positions, found.unknown) == ([2.0], [1], [])
    first.output.set_result(RewardOutput(1.0))
    assert (await soon(unclaimed.rest(tickets))).positions == [0]


async def test_who_takes_a_question_back_may_ask_again() -> None:
    unclaimed, first, second = Unclaimed("r1", hold_s=60.0), late(), late()
    tickets = [unclaimed.keep(first), unclaimed.keep(second)]
    asking = asyncio.create_task(unclaimed.rest(tickets))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    for one, score in ((first, 1.0), (second, 2.0)):
        one.output.set_result(RewardOutput(score))
    assert [output.score for output in (await soon(unclaimed.rest(tickets))).outputs] == [1.0, 2.0]


async def test_without_news_a_question_is_answered_by_nothing() -> None:
    unclaimed, kept = Unclaimed("r1", hold_s=0.0), late()
    ticket = unclaimed.keep(kept)
    assert await soon(unclaimed.rest([ticket])) == ([], [], [])
    kept.output.set_result(RewardOutput(1.0))
    assert (await soon(unclaimed.rest([ticket]))).positions == [0]


async def test_what_nobody_asks_for_is_given_up_and_its_ticket_is_not_known_any_more() -> None:
    unclaimed, forgotten = Unclaimed("r1", wait_s=0.0), late()
    ticket = unclaimed.keep(forgotten)
    await soon(asyncio.wait({forgotten.output}))
    assert forgotten.output.cancelled()
    assert len(unclaimed) == 0
    assert (await soon(unclaimed.rest([ticket]))).unknown == [0]


async def test_what_is_given_up_elsewhere_is_to_be_scored_again() -> None:
    unclaimed, kept = Unclaimed("r1"), late()
    ticket = unclaimed.keep(kept)
    kept.output.cancel()
    assert (await soon(unclaimed.rest([ticket]))).unknown == [0]


async def test_what_broke_is_a_failure() -> None:
    unclaimed, kept = Unclaimed("r1"), late()
    ticket = unclaimed.keep(kept)
    kept.output.set_exception(ValueError("no"))
    [output] = (await soon(unclaimed.rest([ticket]))).outputs
    assert output.failure is not None
    assert "no" in output.failure.message
