from __future__ import annotations

from collections.abc import Sequence

from rayreward import FailureKind, RewardOutput, Sample
from rayreward.checking.subject import NOT_TRIED, PATIENCE, Subject
from tests.checking.subjects import SUMS, material

HUNG = RewardOutput.failed(FailureKind.TIMEOUT, "no answer")


async def test_outputs_come_in_the_data_s_order_whatever_order_units_are_sent_in() -> None:
    async def call(samples: Sequence[Sample]) -> list[RewardOutput]:
        return [RewardOutput(float(sample.label)) for sample in samples]

    subject = Subject(call, material())
    expected = [float(sample.label) for sample in SUMS]
    for score in (subject.score, subject.score_each):
        outputs = await score(SUMS, list(reversed(subject.material.units)))
        assert [output.score for output in outputs] == expected


async def test_a_reward_that_always_hangs_is_left_alone_after_a_few() -> None:
    calls: list[int] = []

    async def call(samples: Sequence[Sample]) -> list[RewardOutput]:
        calls.append(len(samples))
        return [HUNG] * len(samples)

    outputs = await Subject(call, material()).score(SUMS, material().units)
    assert calls == [1, 4], "small batches first"
    assert outputs == [HUNG] * 5 + [NOT_TRIED] * 5
    calls.clear()
    await Subject(call, material()).score_each(SUMS, material().units)
    assert calls == [1] * PATIENCE
