from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rayreward.condition import Condition
from rayreward.errors import RewardLoadError
from rayreward.sample import Sample
from rayreward.types import RewardOutput
from rayreward.workers import ReplaceableRunner
from tests.router.stages import samples, turns


class HeldRunner:
    """Scores 1.0 when it is let."""

    def __init__(self, version: str, *, is_broken: bool = False) -> None:
        self.version, self._is_broken, self.crash_loop, self.condition = version, is_broken, None, Condition()
        self.happened: list[str] = []
        self.released = asyncio.Event()

    async def start(self) -> None:
        if self._is_broken:
            raise RewardLoadError("no such file")
        self.happened.append("started")

    async def run(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        await self.released.wait()
        self.happened.append("ran")
        return [RewardOutput(1.0) for _ in samples]

    async def begin(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        return await self.run(samples)

    async def stop(self) -> None:
        self.happened.append("stopped")


async def test_what_is_under_way_ends_where_it_began_and_only_then_the_old_runner_stops() -> None:
    old, new = HeldRunner("v1"), HeldRunner("v2")
    runner = ReplaceableRunner(old)
    await runner.start()
    under_way = [asyncio.create_task(runner.run(samples("a"))) for _ in range(2)]
    await turns()
    await runner.replace(new)
    assert runner.version == "v2"
    new.released.set()
    assert (await runner.run(samples("b"))).version == "v2"
    await turns()
    assert old.happened == ["started"]
    old.released.set()
    assert [ran.version for ran in await asyncio.gather(*under_way)] == ["v1", "v1"]
    await turns()
    assert old.happened == ["started", "ran", "ran", "stopped"]
    assert new.happened == ["started", "ran"]


async def test_an_idle_runner_is_stopped_at_once() -> None:
    old = HeldRunner("v1")
    runner = ReplaceableRunner(old)
    await runner.replace(HeldRunner("v2"))
    await turns()
    assert old.happened == ["stopped"]


async def test_one_that_cannot_start_changes_nothing() -> None:
    old = HeldRunner("v1")
    old.released.set()
    runner = ReplaceableRunner(old)
    with pytest.raises(RewardLoadError, match="no such file"):
        await runner.replace(HeldRunner("v2", is_broken=True))
    assert (await runner.run(samples("a"))).version == "v1"
    assert old.happened == ["ran"]


async def test_stopped_even_those_that_still_work_are_stopped() -> None:
    old, new = HeldRunner("v1"), HeldRunner("v2")
    runner = ReplaceableRunner(old)
    under_way = asyncio.create_task(runner.run(samples("a")))
    await turns()
    await runner.replace(new)
    await runner.stop()
    assert (old.happened[-1], new.happened[-1]) == ("stopped", "stopped")
    under_way.cancel()
    await asyncio.gather(under_way, return_exceptions=True)
