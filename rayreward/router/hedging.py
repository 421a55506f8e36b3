"""A batch that takes too long is sent once more, and the first answer counts.

What arrives: batches, and what sends them. What leaves: one batch's outputs, from whichever of its two calls answered
first; the other call is cancelled. A call that fails before the time is over is not sent again here, and a failure
while the other call is under way waits for that one: a batch fails only when all its calls have.

It helps where single replicas are slow now and then (a sandbox that swaps, a judge whose provider stalls), and costs
up to twice the work there. Scoring is idempotent, so that nothing is scored wrongly by it. Below the breaker and the
halving of poisoned batches, which see one call however often it was sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from rayreward.batches import AskedAgain
from rayreward.router.coalescer import Send
from rayreward.sample import Sample
from rayreward.types import RewardOutput

_Call = asyncio.Task[Sequence[RewardOutput]]


@dataclass(slots=True)
class HedgeStats:
    """Counted since the start.

    Attributes:
        sent_count: batches that were sent once more.
        won_count: of those, how many were answered by the second call.
    """

    sent_count: int = 0
    won_count: int = 0


def hedged(
    send: Send,
    *,
    after_s: float,
    stats: HedgeStats,
    again: Send | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Send:
    """`send`, with a second call where the first takes longer than `after_s`.

    Args:
        send: the call.
        after_s: seconds without an answer.
        stats: where it is counted.
        again: the second call, where it is another than the first.
        sleep: how to wait for so long.
    """

    async def send_hedged(batch: list[Sample]) -> Sequence[RewardOutput]:
        if isinstance(batch, AskedAgain):
            return await send(batch)  # it waits for what is under way
        first: _Call = _start(send, batch)
        timer = asyncio.ensure_future(sleep(after_s))
        calls = [first]
        try:
            await asyncio.wait({first, timer}, return_when=asyncio.FIRST_COMPLETED)
            if first.done():
                return first.result()
            stats.sent_count += 1
            calls.append(_start(again or send, batch))
            answered = await _first_answer(calls)
            stats.won_count += answered is not first
            return answered.result()
        finally:
            timer.cancel()
            await _end(calls)

    return send_hedged


def _start(send: Send, batch: list[Sample]) -> _Call:
    async def call() -> Sequence[RewardOutput]:
        return await send(batch)

    return asyncio.get_running_loop().create_task(call())


async def _first_answer(calls: Sequence[_Call]) -> _Call:
    """The call that answered first; the first one, with its error, where none did."""
    under_way = set(calls)
    while under_way:
        done, under_way = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        for call in calls:
            if call in done and not call.cancelled() and call.exception() is None:
                return call
    return calls[0]


async def _end(calls: Sequence[_Call]) -> None:
    """Cancel what is still under way; nobody asks for its outcome."""
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
