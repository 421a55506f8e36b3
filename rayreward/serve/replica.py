"""The deployment of one reward: a shell around a `Runner`.

What arrives: batches of samples, one call each, and what waits behind them in the router. What leaves: one output a
sample, in order, stamped with the reward's version and the seconds it took; and where replicas come and go, the numbers
that Serve's controller scales by.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

import cloudpickle

from rayreward.batches import OutputBatch
from rayreward.function import RewardFunction
from rayreward.router.backlog import Backlog, BacklogMemory
from rayreward.router.facts import RewardFacts
from rayreward.spec import RewardSpec
from rayreward.types import RewardOutput, Sample, Timings
from rayreward.workers import Runner, build_runner


class RewardReplica:
    """One copy of a reward. Its constructor loads the reward, so a reward that cannot load fails the deployment.

    Args:
        spec: what to serve.
        blob: the reward itself, pickled, where it is no address (a function typed in a notebook).
    """

    _runner: Runner | None = None

    async def __init__(self, spec: RewardSpec, blob: bytes | None = None) -> None:  # type: ignore[misc]
        reward: RewardFunction = spec.build() if blob is None else cloudpickle.loads(blob)
        self._reward = reward
        self._memory = BacklogMemory(now=time.monotonic)
        self._process_count = spec.process_count
        runner = self._runner = build_runner(reward, process_count=spec.process_count)
        await runner.start()
        # What is loaded by now stays: the collector need not walk through Ray and the reward's libraries again.
        gc.collect()
        gc.freeze()

    async def score(self, samples: Sequence[Sample], told: Backlog | None = None) -> list[RewardOutput]:
        """One output a sample, in order; `told` is what waits in the router."""
        runner = self._started()
        started_s = time.perf_counter()
        self._memory.enter(len(samples), told)
        try:
            outputs = await runner.run(samples)
        finally:
            self._memory.leave(len(samples))
        computed = Timings(computed_s=time.perf_counter() - started_s, batch_samples=len(samples))
        return OutputBatch.stamped(outputs, version=runner.version, timings=computed)

    async def probe(self, told: Backlog | None = None) -> RewardFacts:
        """What the router must know of the reward, once it is loaded; `told` is what waits there."""
        if told is not None:
            self._memory.hear(told)
        return RewardFacts.of(self._reward, self._started().version, process_count=self._process_count)

    def _started(self) -> Runner:
        if self._runner is None:
            raise RuntimeError("a replica was called before its constructor ended; this is a bug in rayreward")
        return self._runner

    async def __del__(self) -> None:  # Serve awaits it when the replica is retired
        if self._runner is not None:
            await self._runner.stop()


class ScaledReplica(RewardReplica):
    """One whose number changes. A class of its own: Ray 2.55 fails to start replicas that publish and never scale."""

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """What Serve's controller is told, some times a second."""
        return self._memory.numbers().published()
