from __future__ import annotations

from collections.abc import Sequence

from rayreward.batches import NOT_KNOWN_YET, AskedAgain, EarlyBatch, OutputBatch, Rest
from rayreward.router.asking_again import ask_again, ask_each_owner
from rayreward.sample import Sample
from rayreward.types import RewardOutput
from tests.router.stages import said, samples


def asked(*responses: str) -> AskedAgain:
    return AskedAgain.by([f"r/{text}" for text in responses], samples(*responses))


async def never(batch: list[Sample]) -> Sequence[RewardOutput]:
    raise AssertionError(f"nothing is to be scored again, and was: {batch}")


async def test_what_is_not_known_keeps_its_ticket() -> None:
    async def rest(tickets: Sequence[str]) -> Rest:
        return Rest(OutputBatch([RewardOutput(2.0)]), [1], [])

    outputs = await ask_again(asked("a", "b", "c"), rest=rest, score=never)
    assert isinstance(outputs, EarlyBatch)
    assert outputs.tickets == {0: "r/a", 2: "r/c"}
    assert said(outputs.known(outputs)) == [2.0]


async def test_what_nobody_knows_is_scored_again_and_may_be_late_again() -> None:
    async def rest(tickets: Sequence[str]) -> Rest:
        return Rest(OutputBatch([RewardOutput(1.0)]), [0], [1, 2])

    async def score(batch: list[Sample]) -> Sequence[RewardOutput]:
        assert [sample.response for sample in batch] == ["b", "c"]
        return EarlyBatch.without([NOT_KNOWN_YET, RewardOutput(3.0)], {0: "s/0"})

    outputs = await ask_again(asked("a", "b", "c"), rest=rest, score=score)
    assert isinstance(outputs, EarlyBatch)
    assert outputs.tickets == {1: "s/0"}
    assert said(outputs.known(outputs)) == [1.0, 3.0]


async def test_when_all_is_known_it_is_a_batch_like_any_other() -> None:
    async def rest(tickets: Sequence[str]) -> Rest:
        return Rest(OutputBatch([RewardOutput(1.0)]), [0], [1])

    async def score(batch: list[Sample]) -> Sequence[RewardOutput]:
        return [RewardOutput(2.0)]

    outputs = await ask_again(asked("a", "b"), rest=rest, score=score)
    assert type(outputs) is OutputBatch
    assert said(outputs) == [1.0, 2.0]


async def test_each_is_asked_for_what_it_has_given() -> None:
    async def rest(owner: str, tickets: Sequence[str]) -> Rest:
        assert all(ticket.startswith(owner) for ticket in tickets)
        return Rest([RewardOutput(float(tickets[-1][-1]))], [len(tickets) - 1], list(range(len(tickets) - 1)))

    found = await ask_each_owner(["x/1", "y/2", "x/3"], owner_of=lambda ticket: ticket[0], rest=rest)
    assert sorted(zip(found.positions, said(found.outputs), strict=True)) == [(1, 2.0), (2, 3.0)]
    assert found.unknown == [0]
