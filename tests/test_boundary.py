from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rayreward.boundary import score_guarded
from rayreward.sample import Sample
from rayreward.types import RewardOutput

SAMPLES = [Sample(response="a"), Sample(response="b")]


def kinds(outputs: list[RewardOutput]) -> list[str | None]:
    return [output.failure.kind.value if output.failure else None for output in outputs]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ValueError("x"), "error"),
        (SystemExit(1), "error"),
        (asyncio.CancelledError(), "cancelled"),
        (TimeoutError("x"), "timeout"),
        (RecursionError(), "error"),
        (MemoryError(), "error"),
    ],
)
async def test_what_is_raised_fails_every_sample(error: BaseException, kind: str) -> None:
    async def ascore(samples: Sequence[Sample]) -> Any:
        raise error

    assert kinds(await score_guarded(ascore, SAMPLES)) == [kind, kind]


@pytest.mark.parametrize("answer", [None, [], [1.0], [1.0, 2.0, 3.0], 5, "ab", {}])
async def test_so_does_a_wrong_number_of_outputs(answer: Any) -> None:
    async def ascore(samples: Sequence[Sample]) -> Any:
        return answer

    assert kinds(await score_guarded(ascore, SAMPLES)) == ["invalid_output"] * 2


async def test_what_is_given_as_promised_comes_through() -> None:
    async def ascore(samples: Sequence[Sample]) -> Any:
        return [RewardOutput(0.5, version="v"), 1]

    first, second = await score_guarded(ascore, SAMPLES)
    assert (first, second.score) == (RewardOutput(0.5, version="v"), 1.0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit()])
def test_what_ends_the_program_is_not_held_up(error: BaseException) -> None:
    async def ascore(samples: Sequence[Sample]) -> Any:
        raise error

    with pytest.raises(type(error)):
        score_guarded(ascore, SAMPLES).send(None)


async def test_the_callers_own_cancellation_passes() -> None:
    async def ascore(samples: Sequence[Sample]) -> Any:
        await asyncio.Event().wait()

    task = asyncio.create_task(score_guarded(ascore, SAMPLES))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
