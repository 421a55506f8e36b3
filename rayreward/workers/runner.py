"""Runs a reward where its isolation says, with a deadline.

What arrives: a reward, then batches. What leaves: one output a sample, in order, whatever the reward does; a reward
that hangs, crashes or misbehaves costs the samples it was at, never the runner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import cloudpickle

from rayreward.function import RewardFunction
from rayreward.outcome import failed_output
from rayreward.types import FailureKind, RewardOutput, Sample
from rayreward.workers.process import ProcessWorker


class Runner(Protocol):
    """Scores batches of one reward."""

    @property
    def version(self) -> str:
        """The reward's version."""
        ...

    async def start(self) -> None:
        """Load the reward; raises `RewardLoadError` where that fails."""
        ...

    async def run(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample, in order."""
        ...

    async def stop(self) -> None:
        """Release what the runner holds; processes are gone when this returns."""
        ...


def build_runner(reward: RewardFunction, *, process_count: int = 1, timeout_s: float | None = None) -> Runner:
    """The runner for `reward`'s isolation; `process_count` is used by killable processes only."""
    limit_s = reward.timeout_s if timeout_s is None else timeout_s
    if reward.isolation == "process":
        return ProcessRunner(reward, process_count=process_count, timeout_s=limit_s)
    return InlineRunner(reward, timeout_s=limit_s)


class InlineRunner:
    """Runs on the event loop: for rewards that are async, trivial, or move to a thread by themselves.

    A deadline is kept by giving up on the answer; a sync reward that blocks cannot be interrupted here.
    """

    def __init__(self, reward: RewardFunction, *, timeout_s: float) -> None:
        self._reward, self._timeout_s = reward, timeout_s
        self._version: str | None = None

    @property
    def version(self) -> str:
        """The reward's version, hashed once."""
        if self._version is None:
            self._version = self._reward.version
        return self._version

    async def start(self) -> None:
        """Load the reward, off the loop: a model may take minutes."""
        await asyncio.to_thread(self._reward.load)

    async def run(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample, in order."""
        try:
            outputs = await asyncio.wait_for(self._reward.ascore(samples), self._timeout_s)
        except TimeoutError:
            message = f"no answer within {self._timeout_s:g} s for {len(samples)} samples together"
            return [RewardOutput.failed(FailureKind.TIMEOUT, message) for _ in samples]
        except Exception as error:  # noqa: BLE001 - the boundary: a subclass's own ascore may raise anything
            return [failed_output(error) for _ in samples]
        if len(outputs) != len(samples):
            message = f"the reward must give one output a sample: asked for {len(samples)}, found {len(outputs)}"
            return [RewardOutput.failed(FailureKind.INVALID_OUTPUT, message) for _ in samples]
        return outputs

    async def stop(self) -> None:
        """Nothing is held."""


class ProcessRunner:
    """Runs in killable processes; a batch is spread over those that exist."""

    def __init__(self, reward: RewardFunction, *, process_count: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        blob = cloudpickle.dumps(reward)
        self._workers = [
            ProcessWorker(blob, one_by_one=reward.scores_one_by_one, concurrent=reward.is_async)
            for _ in range(process_count)
        ]
        self._splits = reward.scores_one_by_one and process_count > 1
        self._idle: asyncio.Queue[ProcessWorker] = asyncio.Queue()
        for worker in self._workers:
            self._idle.put_nowait(worker)

    @property
    def version(self) -> str:
        """The reward's version as its process hashed it."""
        return self._workers[0].version or "unknown"

    async def start(self) -> None:
        """Start all processes at once."""
        await asyncio.gather(*(worker.start() for worker in self._workers))

    async def run(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample, in order."""
        if not self._splits or len(samples) < 2:
            return await self._run_part(samples)
        size = -(-len(samples) // len(self._workers))
        parts = [samples[start : start + size] for start in range(0, len(samples), size)]
        return [output for part in await asyncio.gather(*map(self._run_part, parts)) for output in part]

    async def _run_part(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        worker = await self._idle.get()
        try:
            return await worker.run(samples, self._timeout_s)
        finally:
            self._idle.put_nowait(worker)

    async def stop(self) -> None:
        """Kill every process."""
        await asyncio.gather(*(worker.stop() for worker in self._workers))
