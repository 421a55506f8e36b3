"""The deployment of one reward: a shell around a runner.

What arrives: batches of samples, one call each, and what waits behind them in the router; now and then another
configuration. What leaves: one output a sample, in order, stamped with the version that scored it and the seconds it
took, slow ones later by their tickets; and where replicas come and go, the numbers that Serve's controller scales by.

Another configuration (`user_config` of the deployment) is loaded beside the reward that serves, and takes its place
when it is loaded: no call is lost, and those under way end as they began. One that cannot load fails the deployment at
its start; later it leaves the reward that serves where it is, and the router is told why.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import cloudpickle
import pydantic

from rayreward.batches import OutputBatch, Rest
from rayreward.errors import ConfigError, shown
from rayreward.function import RewardFunction
from rayreward.router.backlog import Backlog, BacklogMemory
from rayreward.router.facts import RewardFacts, call_tokens
from rayreward.sample import Sample
from rayreward.serve.heap import keep_heap
from rayreward.serve.lost_model import LostModel
from rayreward.serve.running import this_replica
from rayreward.serve.starting import telling_start
from rayreward.serve.unclaimed import Unclaimed
from rayreward.spec import RewardSpec
from rayreward.strict import StrictModel
from rayreward.types import RewardOutput, Timings
from rayreward.workers import ReplaceableRunner, build_runner, settled

_log = logging.getLogger(__name__)


class ReloadConfig(StrictModel):
    """What a deployment's ``user_config`` may hold.

    Attributes:
        args: laid over the spec's.
    """

    args: dict[str, Any] = pydantic.Field(default_factory=dict)


class RewardReplica:
    """One copy of a reward. Its constructor loads the reward, so a reward that cannot load fails the deployment.

    Args:
        spec: what to serve.
        blob: the reward itself, pickled, where it is no address (a function typed in a notebook).
    """

    _runner: ReplaceableRunner | None = None

    async def __init__(self, spec: RewardSpec, blob: bytes | None = None) -> None:  # type: ignore[misc]
        keep_heap()
        self._spec = self._served_spec = spec
        self._is_shipped = blob is not None
        self._reward: RewardFunction = spec.build() if blob is None else cloudpickle.loads(blob)
        self._has_started = False
        self._reload_failure: str | None = None
        self._reloading = asyncio.Lock()
        self._unclaimed = Unclaimed(this_replica())
        self._memory = BacklogMemory(now=time.monotonic)
        self._lost_model = LostModel(spec.name)
        runner = self._runner = ReplaceableRunner(build_runner(self._reward, process_count=spec.process_count))
        async with telling_start(lambda: self._reward.serving_condition):
            await runner.start()
        # What is loaded by now stays: the collector need not walk through Ray and the reward's libraries again.
        gc.collect()
        gc.freeze()

    async def score(
        self,
        samples: Sequence[Sample],
        told: Backlog | None = None,
        *,
        replica: str | None = None,
        may_be_early: bool = False,
    ) -> list[RewardOutput]:
        """One output a sample, in order.

        Args:
            samples: what to score.
            told: what waits in the router.
            replica: whom the call was meant for; Serve's request routing reads it on the way (`serve/aiming.py`).
            may_be_early: whether slow samples need not be waited for: an `EarlyBatch` then says how to ask for them.

        Raises:
            ModelLostError: the reward's model was lost meanwhile: nothing of the call counts, and this replica ends.
        """
        await self._lost_model.hold_if_ending()
        self._memory.enter(len(samples), told)
        try:
            outputs: list[RewardOutput]
            started_s = time.perf_counter()
            ran = await self._started().run(samples)
            if may_be_early and any(isinstance(outcome, asyncio.Future) for outcome in ran.outcomes):
                stamp = partial(_stamped_alone, version=ran.version, started_s=started_s)
                outputs = self._unclaimed.early(ran.outcomes, started_s=started_s, stamp=stamp)
            else:
                outputs = _stamped(await settled(ran.outcomes), ran.version, started_s)
        finally:
            self._memory.leave(len(samples))
        self._lost_model.check(self._started().condition.lost)
        return outputs

    async def rest(self, tickets: Sequence[str], told: Backlog | None = None, *, replica: str | None = None) -> Rest:
        """What is known by now of samples whose call was answered without them.

        Args:
            tickets: that the call was answered with.
            told: what waits in the router.
            replica: who gave them.

        Raises:
            ModelLostError: as `score`.
        """
        await self._lost_model.hold_if_ending()
        self._memory.enter(len(tickets), told)
        try:
            rest = await self._unclaimed.rest(tickets)
        finally:
            self._memory.leave(len(tickets))
        self._lost_model.check(self._started().condition.lost)
        return rest

    async def probe(self, told: Backlog | None = None) -> RewardFacts:
        """What the router must know of the reward, once it is loaded; `told` is what waits there."""
        if told is not None:
            self._memory.hear(told)
        runner = self._started()
        return RewardFacts.of(
            self._reward,
            runner.version,
            process_count=self._spec.process_count,
            crash_loop=runner.crash_loop,
            reload_failure=self._reload_failure,
        )

    async def reconfigure(self, user_config: Any) -> None:
        """Serve another configuration from the next call on; what Ray Serve calls when ``user_config`` changes.

        Raises:
            ConfigError, RewardLoadError: it cannot be loaded, and nothing is served yet.
        """
        async with self._reloading:
            try:
                await self._reload(user_config)
            except Exception as error:
                if not self._has_started:
                    raise
                self._reload_failure = f"user_config {shown(user_config)} cannot be served: {error}"[:2000]
                _log.error("reward %s goes on as it was: %s", self._spec.name, self._reload_failure)
            else:
                self._reload_failure = None

    async def check_health(self) -> None:
        """Serve asks for the first time when the replica has started, its first `reconfigure` included.

        Raises:
            ModelLostError: the reward's model is lost, though nobody has asked it anything: this replica ends.
        """
        self._has_started = True
        self._lost_model.check(self._started().condition.lost)

    async def _reload(self, user_config: Any) -> None:
        config = ReloadConfig.parse(user_config, source=f"user_config of reward {self._spec.name!r}")
        spec = self._configured(config.args)
        if spec == self._served_spec:
            return
        reward = await asyncio.to_thread(spec.build)  # it may import what takes seconds, while others are scored
        runner = await asyncio.to_thread(build_runner, reward, process_count=spec.process_count)
        await self._started().replace(runner)
        self._reward, self._served_spec = reward, spec

    def _configured(self, args: Mapping[str, Any]) -> RewardSpec:
        if not args:
            return self._spec
        if self._is_shipped:
            raise ConfigError("a reward that deploy() has shipped takes no args at run time; deploy it again with them")
        return self._spec.with_args(args)

    def _started(self) -> ReplaceableRunner:
        if self._runner is None:
            raise RuntimeError("a replica was called before its constructor ended; this is a bug in rayreward")
        return self._runner

    async def __del__(self) -> None:  # Serve awaits it when the replica is retired
        if self._runner is not None:
            await self._runner.stop()


def _stamped(outputs: Sequence[RewardOutput], version: str, started_s: float) -> OutputBatch:
    computed = Timings(computed_s=time.perf_counter() - started_s, batch_samples=len(outputs))
    return OutputBatch.stamped(outputs, version=version, timings=computed)


def _stamped_alone(output: RewardOutput, *, version: str, started_s: float) -> RewardOutput:
    [stamped] = _stamped([output], version, started_s)
    return stamped


class ScaledReplica(RewardReplica):
    """One whose number changes. A class of its own: Ray 2.55 fails to start replicas that publish and never scale."""

    async def record_autoscaling_stats(self) -> dict[str, float]:
        """What Serve's controller is told, some times a second."""
        tokens = call_tokens(self._started().condition) or 0
        return self._memory.numbers()._replace(call_tokens=tokens).published()
