"""Which runner a reward is run by."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from rayreward.function import RewardFunction
from rayreward.workers.parts import PartsRunner
from rayreward.workers.runner import InlineRunner, ProcessRunner, Runner, ThreadRunner

if TYPE_CHECKING:
    from rayreward.rewards import CompositeReward


def build_runner(
    reward: RewardFunction, *, process_count: int = 1, timeout_s: float | None = None, memory_bytes: int | None = None
) -> Runner:
    """The runner for `reward`'s isolation.

    Args:
        reward: whose samples it will run.
        process_count: killable processes, where it runs in such; each part of a composite that runs apart has as many.
        timeout_s: instead of the reward's own.
        memory_bytes: of such a process, instead of the reward's own.
    """
    limit_s = reward.timeout_s if timeout_s is None else timeout_s
    if reward.parts_run_apart:

        def build(part: RewardFunction, part_limit_s: float) -> Runner:
            return build_runner(
                part, process_count=process_count, timeout_s=part_limit_s, memory_bytes=reward.memory_bytes
            )

        return PartsRunner(cast("CompositeReward", reward), build=build, timeout_s=limit_s)
    if reward.isolation == "process":
        return ProcessRunner(reward, process_count=process_count, timeout_s=limit_s, memory_bytes=memory_bytes)
    runner = ThreadRunner if reward.isolation == "thread" else InlineRunner
    return runner(reward, timeout_s=limit_s)
