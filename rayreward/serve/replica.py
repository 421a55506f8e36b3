"""The deployment of one reward: a shell around a `Runner`.

What arrives: batches of samples, one call each. What leaves: one output a sample, in order, stamped with the
reward's version and the seconds it took.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

import cloudpickle

from rayreward.batches import OutputBatch
from rayreward.function import RewardFunction
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
        runner = self._runner = build_runner(reward, process_count=spec.process_count)
        await runner.start()
        # What is loaded by now stays: the collector need not walk through Ray and the reward's libraries again.
        gc.collect()
        gc.freeze()

    async def score(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample, in order."""
        runner = self._started()
        started_s = time.perf_counter()
        outputs = await runner.run(samples)
        computed = Timings(computed_s=time.perf_counter() - started_s, batch_samples=len(samples))
        return OutputBatch.stamped(outputs, version=runner.version, timings=computed)

    async def probe(self) -> RewardFacts:
        """What the router must know of the reward, once it is loaded."""
        return RewardFacts.of(self._reward, self._started().version)

    def _started(self) -> Runner:
        if self._runner is None:
            raise RuntimeError("a replica was called before its constructor ended; this is a bug in rayreward")
        return self._runner

    async def __del__(self) -> None:  # Serve awaits it when the replica is retired
        if self._runner is not None:
            await self._runner.stop()
