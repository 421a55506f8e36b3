"""A reward that tells how long it took.

What arrives: a reward. What leaves: its outputs, each with its share of the call's wall and CPU time in the metadata.
It runs where the reward runs, so that transport is not measured.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from rayreward.function import RewardFunction
from rayreward.sample import Sample
from rayreward.types import RewardOutput

WALL_S, CPU_S = "rayreward_check_wall_s", "rayreward_check_cpu_s"


class TimedReward(RewardFunction):
    """Measures `inner`; one call is one measurement, shared by its samples.

    Args:
        inner: the reward.
    """

    def __init__(self, inner: RewardFunction) -> None:
        self.inner = inner
        self.name, self.isolation, self.timeout_s = inner.name, inner.isolation, inner.timeout_s

    def load(self) -> None:
        """What the reward needs."""
        self.inner.load()

    @property
    def version(self) -> str:
        """The reward's own."""
        return self.inner.version

    @property
    def is_async(self) -> bool:
        """As the reward is."""
        return self.inner.is_async

    @property
    def scores_batches(self) -> bool:
        """As the reward does."""
        return self.inner.scores_batches

    @property
    def compares_groups(self) -> bool:
        """As the reward does."""
        return self.inner.compares_groups

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """The reward's outputs, with what they took."""
        wall_s, cpu_s = time.perf_counter(), _cpu_s()
        outputs = await self.inner.ascore(samples)
        wall_s, cpu_s = time.perf_counter() - wall_s, _cpu_s() - cpu_s
        taken = {WALL_S: wall_s / len(samples), CPU_S: cpu_s / len(samples)}
        return [RewardOutput(output.score, failure=output.failure, metadata=taken) for output in outputs]


def _cpu_s() -> float:
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system
