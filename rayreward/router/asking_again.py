"""Asks for samples whose call was answered without them.

What arrives: an `AskedAgain`. What leaves: their outputs, and tickets for those that are still under way. A ticket that
nobody keeps (whoever gave it is gone, or was asked too late) costs another scoring, never the sample.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from rayreward.batches import NOT_KNOWN_YET, AskedAgain, EarlyBatch, OutputBatch, Rest, SampleBatch
from rayreward.outcome import to_outputs
from rayreward.sample import Sample
from rayreward.types import RewardOutput

Score = Callable[[list[Sample]], Awaitable[Sequence[RewardOutput]]]
AskRest = Callable[[Sequence[str]], Awaitable[Rest]]
AskOwner = Callable[[str, Sequence[str]], Awaitable[Rest]]


def asking_again(score: Score, *, rest: AskRest) -> Score:
    """`score`, with samples that were asked for before asked for by their tickets."""

    async def send(batch: list[Sample]) -> Sequence[RewardOutput]:
        return await (ask_again(batch, rest=rest, score=score) if isinstance(batch, AskedAgain) else score(batch))

    return send


async def ask_again(batch: AskedAgain, *, rest: AskRest, score: Score) -> Sequence[RewardOutput]:
    """One output a sample, in order; an `EarlyBatch` where not all are known yet.

    Args:
        batch: the samples and their tickets.
        rest: asks by tickets.
        score: asks for samples.
    """
    found = await rest(batch.tickets)
    outputs, tickets = [NOT_KNOWN_YET] * len(batch), dict(enumerate(batch.tickets))
    for at, output in zip(found.positions, found.outputs, strict=True):
        outputs[at] = output
        del tickets[at]
    if found.unknown:
        scored = await score(SampleBatch(batch[at] for at in found.unknown))
        again = scored.tickets if isinstance(scored, EarlyBatch) else {}
        for number, output in enumerate(to_outputs(scored, len(found.unknown))):
            at = found.unknown[number]
            outputs[at] = output
            del tickets[at]
            if number in again:
                tickets[at] = again[number]
    return EarlyBatch.without(outputs, tickets) if tickets else OutputBatch(outputs)


async def ask_each_owner(tickets: Sequence[str], *, owner_of: Callable[[str], str], rest: AskOwner) -> Rest:
    """`rest` of whoever gave the tickets: mostly one, and several at once where some of a call were scored again."""
    by_owner: dict[str, list[int]] = {}
    for at, ticket in enumerate(tickets):
        by_owner.setdefault(owner_of(ticket), []).append(at)
    found = await asyncio.gather(*(rest(owner, [tickets[at] for at in own]) for owner, own in by_owner.items()))
    outputs: list[RewardOutput] = []
    positions: list[int] = []
    unknown: list[int] = []
    for own, one in zip(by_owner.values(), found, strict=True):
        outputs += one.outputs
        positions += [own[at] for at in one.positions]
        unknown += [own[at] for at in one.unknown]
    return Rest(outputs, positions, unknown)
