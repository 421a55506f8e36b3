from __future__ import annotations

import asyncio

from rayreward.router.direct import Direct
from rayreward.router.sizing import USUAL_SAMPLES
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput
from tests.router.stages import Stage, failed, said, samples


async def test_samples_are_scored_at_once_in_order() -> None:
    stage = Stage()
    assert said(await Direct(stage).score(samples("a", "bb"))) == [1.0, 2.0]
    assert stage.asked == [["a", "bb"]]


async def test_a_large_call_lets_others_have_their_turn() -> None:
    stage = Stage()
    direct = Direct(stage)
    large = asyncio.create_task(direct.score(samples(*["x"] * (2 * USUAL_SAMPLES))))
    small = asyncio.create_task(direct.score(samples("small")))
    assert said(await large) == [1.0] * 2 * USUAL_SAMPLES
    assert said(await small) == [5.0]
    assert [len(asked) for asked in stage.asked] == [USUAL_SAMPLES, 1, USUAL_SAMPLES]


async def test_a_reward_that_raises_fails_its_samples() -> None:
    async def broken(batch: list[Sample]) -> list[RewardOutput]:
        raise ValueError("no")

    direct = Direct(broken)
    assert said(await direct.score(samples("a", "b"))) == ["error", "error"]
    assert direct.stats.failure_counts == {"error": 2}


async def test_too_few_outputs_are_nobodys_scores() -> None:
    async def forgetful(batch: list[Sample]) -> list[RewardOutput]:
        return [RewardOutput(1.0)]

    assert said(await Direct(forgetful).score(samples("a", "b"))) == ["invalid_output"] * 2


async def test_it_counts_like_any_lane() -> None:
    stage = Stage(answer=lambda sample: failed(FailureKind.TIMEOUT) if sample.response == "b" else 1.0)
    direct = Direct(stage)
    await direct.score(samples("a", "b"))
    assert (direct.stats.sample_count, direct.stats.batch_count) == (2, 1)
    assert direct.stats.failure_counts == {"timeout": 1}
    assert direct.waiting_count == 0
