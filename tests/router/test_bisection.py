from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rayreward.errors import ServiceUnavailableError
from rayreward.router.bisection import bisecting
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput
from tests.router.stages import failed, said, samples


class Calls:
    """Fails every call that holds a bad sample, in the way it is told."""

    def __init__(self, *bad: str, how: Callable[[list[Sample]], Any] | None = None) -> None:
        self.bad, self.sizes, self._how = set(bad), list[int](), how

    async def __call__(self, batch: list[Sample]) -> Sequence[RewardOutput]:
        self.sizes.append(len(batch))
        if self.bad & {sample.response for sample in batch}:
            if self._how is None:
                raise ValueError("poison")
            answer: Sequence[RewardOutput] = self._how(batch)
            return answer
        return [RewardOutput(1.0)] * len(batch)


def numbered(count: int) -> list[Sample]:
    return samples(*map(str, range(count)))


async def scored(calls: Calls, batch: list[Sample], *, one_by_one: bool = False) -> list[Any]:
    return said(await bisecting(calls, scores_one_by_one=lambda: one_by_one)(batch))


async def test_a_batch_without_trouble_is_one_call() -> None:
    calls = Calls()
    assert await scored(calls, numbered(8)) == [1.0] * 8
    assert calls.sizes == [8]


@pytest.mark.parametrize("bad", [0, 100, 255])
async def test_one_bad_sample_is_alone_after_a_bounded_number_of_calls(bad: int) -> None:
    calls = Calls(str(bad))
    found = await scored(calls, numbered(256))
    assert [position for position, one in enumerate(found) if one == "error"] == [bad]
    assert len(calls.sizes) == 1 + 2 * 8


async def test_two_bad_samples_are_found_wherever_they_are() -> None:
    found = await scored(Calls("0", "255"), numbered(256))
    assert [position for position, one in enumerate(found) if one == "error"] == [0, 255]


async def test_a_reward_that_is_broken_altogether_is_not_asked_once_a_sample() -> None:
    calls = Calls(*map(str, range(256)))
    assert await scored(calls, numbered(256)) == ["error"] * 256
    assert len(calls.sizes) <= 1 + 4 * 8


@pytest.mark.parametrize(
    "how",
    [
        lambda batch: [],
        lambda batch: [failed(FailureKind.CRASHED, "killed")] * len(batch),
        lambda batch: [failed(FailureKind.ERROR, "CUDA error")] * len(batch),
    ],
)
async def test_a_call_that_fails_all_its_samples_alike_is_halved_too(how: Any) -> None:
    found = await scored(Calls("3", how=how), numbered(8))
    assert [one == 1.0 for one in found] == [position != 3 for position in range(8)]


async def test_where_each_sample_is_scored_by_itself_its_failure_is_its_own() -> None:
    calls = Calls(*map(str, range(8)), how=lambda batch: [failed()] * len(batch))
    assert await scored(calls, numbered(8), one_by_one=True) == ["error"] * 8
    assert calls.sizes == [8]
    assert (await scored(Calls("3"), numbered(8), one_by_one=True)).count("error") == 1, "but a call may still raise"


@pytest.mark.parametrize("error", [ServiceUnavailableError("lost"), TimeoutError("slow")])
async def test_what_no_sample_can_be_blamed_for_is_not_tried_again(error: Exception) -> None:
    def fail(batch: list[Sample]) -> Any:
        raise error

    calls = Calls("3", how=fail)
    found = await scored(calls, numbered(8))
    assert len(set(found)) == 1
    assert calls.sizes == [8]


async def test_a_group_stays_together() -> None:
    batch = [Sample(response=str(at), group_id=group) for at, group in enumerate("aaabbb")]
    calls = Calls("4")
    assert await scored(calls, batch) == [1.0] * 3 + ["error"] * 3
    assert calls.sizes == [6, 3, 3]


async def test_a_cancelled_call_is_cancelled() -> None:
    def cancel(batch: list[Sample]) -> Any:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await scored(Calls("3", how=cancel), numbered(8))
