"""Rewards in this process, without a service: for trying, testing and offline scoring.

They run as they would in a replica: user code in killable processes with its deadline, models on a thread.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import Any

from rayreward.client.base import RewardClient
from rayreward.client.sync import background_loop, keep_inherited, run_sync
from rayreward.errors import ConfigError, UnknownRewardError, did_you_mean
from rayreward.function import RewardFunction
from rayreward.sample import Sample
from rayreward.spec import load_reward
from rayreward.types import FailureKind, Priority, RewardInfo, RewardOutput
from rayreward.workers import Runner, build_runner


class LocalClient(RewardClient):
    """Scores by rewards that it loads itself, when they are first used.

    Args:
        rewards: by name: rewards, or what `load_reward` takes.
        arguments: for rewards given by address, by name.
        process_count: killable processes a reward.

    Raises:
        ConfigError: no reward was given.
    """

    def __init__(
        self,
        rewards: Mapping[str, RewardFunction | str],
        *,
        arguments: Mapping[str, Mapping[str, Any]] | None = None,
        process_count: int = 1,
    ) -> None:
        if not rewards:
            raise ConfigError("LocalClient needs at least one reward, found none")
        self._rewards = {
            name: load_reward(reward, (arguments or {}).get(name)) if isinstance(reward, str) else reward
            for name, reward in rewards.items()
        }
        self._process_count = process_count
        self._runners: dict[str, asyncio.Task[Runner]] = {}
        self._pid = os.getpid()

    async def arewards(self) -> list[RewardInfo]:
        """The rewards given, in order."""
        return [RewardInfo(name, "ready", reward.version, reward.description) for name, reward in self._rewards.items()]

    async def _send(
        self,
        reward: str | None,
        samples: Sequence[Sample],
        *,
        timeout_s: float | None,
        run: str | None,
        step: int | None,
        priority: Priority,
    ) -> list[RewardOutput]:
        name = reward or next(iter(self._rewards))
        if name not in self._rewards:
            raise UnknownRewardError(f"no reward {name!r} here; {did_you_mean(name, self._rewards)}")
        # Processes belong to the loop that started them, so all callers' work meets on the background loop.
        work = asyncio.run_coroutine_threadsafe(self._run(name, samples, timeout_s), background_loop())
        return await asyncio.wrap_future(work)

    async def _run(self, name: str, samples: Sequence[Sample], timeout_s: float | None) -> list[RewardOutput]:
        runner = await self._runner(name)
        try:
            outputs = await asyncio.wait_for(runner.run(samples), timeout_s)
        except TimeoutError:
            late = RewardOutput.failed(FailureKind.TIMEOUT, f"no answer within {timeout_s} s")
            return [late for _ in samples]
        return [output.stamped(version=runner.version) for output in outputs]

    async def _runner(self, name: str) -> Runner:
        self._forget_a_parents_runners()
        started = self._runners.get(name)
        if started is None:
            started = self._runners[name] = asyncio.create_task(self._start(name))
        return await asyncio.shield(started)

    def _forget_a_parents_runners(self) -> None:
        """In a forked process, the worker processes and their connections are its parent's."""
        if self._pid != os.getpid():
            keep_inherited(self._runners)
            self._pid, self._runners = os.getpid(), {}

    async def _start(self, name: str) -> Runner:
        runner = build_runner(self._rewards[name], process_count=self._process_count)
        await runner.start()
        return runner

    async def aclose(self) -> None:
        """Stop the processes."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._stop(), background_loop()))

    def close(self) -> None:
        """Stop the processes."""
        run_sync(self._stop())

    async def _stop(self) -> None:
        self._forget_a_parents_runners()
        starting = list(self._runners.values())
        self._runners.clear()
        for task in starting:
            task.cancel()  # no effect on those that have started
        for runner in await asyncio.gather(*starting, return_exceptions=True):
            if not isinstance(runner, BaseException):
                await runner.stop()
