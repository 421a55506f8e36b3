"""A composite of parts that run apart: a function of one's own in a process, beside what waits or computes here."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rayreward import RewardFunction, RewardOutput, Sample
from rayreward.condition import Condition
from rayreward.errors import RewardLoadError
from rayreward.rewards import CompositeReward, LengthReward
from rayreward.workers import Runner, build_runner
from rayreward.workers.outcomes import give_up, settled
from rayreward.workers.parts import PartsRunner
from tests.processes import children
from tests.workers import hostile


def samples(*responses: str) -> list[Sample]:
    return [Sample(response=response) for response in responses]


def said(outputs: Sequence[RewardOutput]) -> list[Any]:
    return [output.failure.kind.value if output.failure else output.score for output in outputs]


async def waits(response: str) -> float:
    await asyncio.sleep(0)
    return 10.0


def where(response: str) -> float:
    """The process, and a half more where it is not on its main thread."""
    return os.getpid() + 0.5 * (threading.current_thread() is not threading.main_thread())


def beside(other: Any, *, combine: Any = "weighted_sum", **own: Any) -> CompositeReward:
    """A function of one's own, in a process, and another part."""
    reward = RewardFunction(func=hostile.misbehave, name="own", **own)
    return CompositeReward([(reward, 1.0), (other, 1.0, "other")], combine)


def inline() -> RewardFunction:
    return RewardFunction(func=waits, isolation="inline")


@asynccontextmanager
async def running(reward: RewardFunction, **options: Any) -> AsyncIterator[Runner]:
    runner = build_runner(reward, **options)
    await runner.start()
    try:
        async with asyncio.timeout(30):
            yield runner
    finally:
        await runner.stop()


async def test_a_hang_in_a_process_costs_its_sample_and_holds_up_no_other() -> None:
    async with running(beside(inline(), timeout_s=60.0)) as runner:
        first, hanging, last = await runner.begin(samples("a", "hang", "bb"))
        assert said(await settled([first, last])) == [11.0, 12.0]
        assert said(await runner.run(samples("ccc"))) == [13.0]
        assert isinstance(hanging, asyncio.Future)
        assert not hanging.done()
        hanging.cancel()
        assert said(await runner.run(samples("a"))) == [11.0]


async def test_a_hang_ends_at_its_deadline_and_a_crash_at_once() -> None:
    async with running(beside(inline(), timeout_s=1.0)) as runner:
        outputs = await runner.run(samples("a", "hang", "segfault", "bb"))
        assert said(outputs) == [11.0, "timeout", "crashed", 12.0]
        failures = [output.failure for output in outputs if output.failure]
        assert [failure.component for failure in failures] == ["own", "own"]


async def test_a_sample_that_hangs_in_a_gate_keeps_no_other_from_what_it_guards() -> None:
    async with running(beside(inline(), combine="gate", timeout_s=60.0)) as runner:
        hanging, *others = await runner.begin(samples("hang", "a", "bb"))
        assert said(await settled(others)) == [10.0, 10.0]
        give_up([hanging])


async def test_each_part_runs_where_it_says() -> None:
    kinds: tuple[Any, ...] = ("process", "thread", "inline")
    rewards = {kind: RewardFunction(func=where, isolation=kind) for kind in kinds}
    async with running(CompositeReward({**rewards, "nested": beside(inline())})) as runner:
        [output] = await runner.run(samples("a"))
    assert output.metrics["inline"].score == os.getpid()
    assert output.metrics["thread"].score == os.getpid() + 0.5
    assert int(output.metrics["process"].score or 0) != os.getpid()
    assert output.metrics["nested/own"].score == 1.0


async def test_it_has_the_composites_own_version_and_components() -> None:
    reward = beside(LengthReward(target=1, tolerance=1), timeout_s=5.0)
    apart = beside(inline(), timeout_s=5.0)
    assert not isinstance(build_runner(reward), PartsRunner)
    async with running(apart) as runner:
        assert isinstance(runner, PartsRunner)
        assert runner.version == apart.version
        assert (await runner.run(samples("a")))[0].metrics.keys() == {"own", "other"}


@pytest.mark.parametrize(("given", "expected"), [(None, 1.0), (3.0, 3.0)])
async def test_a_part_has_its_own_deadline_where_the_composite_was_given_none(
    given: float | None, expected: float
) -> None:
    reward = CompositeReward([RewardFunction(func=hostile.misbehave, timeout_s=1.0), inline()])
    reward.timeout_s = given or reward.timeout_s
    async with running(reward) as runner:
        [output] = await runner.run(samples("hang"))
    assert output.failure is not None
    assert f"no answer within {expected:g} s" in output.failure.message


async def test_where_a_part_cannot_start_no_process_is_left() -> None:
    before = children()
    broken = hostile.BreaksAtLoad()
    broken.isolation = "thread"
    runner = build_runner(beside(CompositeReward([broken, inline()])))
    with pytest.raises((RewardLoadError, ValueError), match="no weights"):
        await runner.start()
    assert children() <= before


async def test_whose_process_ends_again_and_again_is_named() -> None:
    async with running(beside(inline())) as runner:
        assert runner.crash_loop is None
        while runner.crash_loop is None:
            assert said(await runner.run(samples("segfault"))) == ["crashed"]
        assert runner.crash_loop.startswith("own: ")


async def test_it_is_as_its_parts_are() -> None:
    class Model(RewardFunction):
        isolation = "thread"
        has_unloaded = False

        @property
        def serving_condition(self) -> Condition:
            return Condition(lost="its device has gone", step_tokens=512)

        def unload(self) -> None:
            self.has_unloaded = True

        def compute_reward(self, trajectory: Sample) -> float:
            return 1.0

    model = Model()
    async with running(beside(model)) as runner:
        assert runner.condition == Condition(lost="other: its device has gone", step_tokens=512)
    assert model.has_unloaded


class Ranked(RewardFunction):
    """The place of each response in its group, by length."""

    def compute_group(self, group: Sequence[Sample]) -> list[float]:
        order = sorted(len(sample.response) for sample in group)
        return [float(order.index(len(sample.response))) for sample in group]


async def test_a_part_that_compares_sees_whole_groups() -> None:
    group = [Sample(response=text, group_id="g", group_size=3) for text in ("aaa", "a", "aa")]
    async with running(beside(Ranked())) as runner:
        assert said(await runner.run(group)) == [5.0, 1.0, 3.0]


async def test_what_is_given_up_gives_up_its_parts() -> None:
    async with running(beside(inline(), timeout_s=60.0)) as runner:
        asking = asyncio.create_task(settled(await runner.begin(samples("hang", "a"))))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert said(await runner.run(samples("bb"))) == [12.0]
