"""Single-sample scorings of one process: coalesced by the handle client, against a call a sample.

What OpenRLHF's rollout actors do: an async actor of the cluster with 1,024 coroutines at once, a sample of 2 KB each,
through client, router and replica of a trivial reward; in bursts, of which each waits for the last sample of the one
before, and sustained, where each coroutine asks again as soon as it is answered. Against it one call of the router's
handle a sample, likewise, and one call of a plain Ray actor a sample, which scores nothing. Alternating rounds on one
Ray, each path asked once before it is measured; CPU seconds are those of every process of the cluster, the asking
actor among them, and of this one, less what the same processes burn in as much time when nobody asks.

What such a path cannot be cheaper than: ``bare_coalescer`` collects whoever comes in one turn of the loop into calls
of the client's size, through two plain deployments, the first of which only hands them on; it has a coroutine, a future
and an output for each sample, as every client must, and nothing else: no deadline, no turns between callers, no failure
of its own for a sample, no version and no times. ``bare_call_a_burst`` is the burst as one call on the same way,
without a coroutine and without an output a sample.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import ray
from measuring import arguments, cpu_s_of, idle_cores, load, report, spread, spreads, started_processes, target
from ray import serve

from rayreward import HandleClient, RewardOutput, Sample
from rayreward.batches import OutputBatch, SampleBatch
from rayreward.client.call_size import LIMITS
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import APP_NAME, build_app
from rayreward.serve.calls import call_handle
from rayreward.serve.cluster import EmbeddedCluster

BURST_SAMPLES = 1024
BURSTS = {
    "coalesced": 60, "coalesced_sustained": 60, "bare_coalescer": 60, "bare_coalescer_sustained": 60,
    "bare_call_a_burst": 60, "handle_call_a_sample": 2, "handle_call_a_sample_sustained": 2, "actor_call_a_sample": 1,
}  # fmt: skip
"""A round's; as many as make its CPU time long against the ten milliseconds that the kernel counts in."""

REWARD = "trivial"
ADDRESS = f"{Path(__file__).with_name('rewards.py')}::trivial"
CONFIG = {"rewards": [{"name": REWARD, "import_path": ADDRESS, "num_replicas": 1}]}


@ray.remote(num_cpus=0)
class PlainActor:
    """Answers, and nothing else."""

    async def score(self, samples: list[Sample]) -> list[float]:
        """Their lengths."""
        return [float(len(sample.response)) for sample in samples]


@serve.deployment(name="bare_reward", ray_actor_options={"num_cpus": 0})
class BareReward:
    """Answers, and nothing else."""

    async def score(self, samples: list[Sample], *, with_outputs: bool) -> list[float] | list[RewardOutput]:
        """Their lengths."""
        scores = [float(len(sample.response)) for sample in samples]
        return OutputBatch(map(RewardOutput, scores)) if with_outputs else scores


@serve.deployment(name="bare_router", ray_actor_options={"num_cpus": 0})
class BareRouter:
    """Hands on, and nothing else."""

    def __init__(self, reward: Any) -> None:
        self._reward = reward

    async def score(self, samples: list[Sample], *, with_outputs: bool) -> Any:
        """What the reward says."""
        return await call_handle(self._reward, "score", samples, with_outputs=with_outputs)


class BareCoalescer:
    """A coalescer without policies."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._waiting: list[tuple[Sample, asyncio.Future[RewardOutput]]] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def score(self, sample: Sample) -> RewardOutput:
        """Its output."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._pump)
        answer: asyncio.Future[RewardOutput] = loop.create_future()
        self._waiting.append((sample, answer))
        return await answer

    def _pump(self) -> None:
        waiting, self._waiting = self._waiting, []
        for start in range(0, len(waiting), LIMITS.max_samples):
            task = asyncio.get_running_loop().create_task(self._send(waiting[start : start + LIMITS.max_samples]))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _send(self, entries: list[tuple[Sample, asyncio.Future[RewardOutput]]]) -> None:
        samples = SampleBatch(sample for sample, _ in entries)
        outputs = await call_handle(self._handle, "score", samples, with_outputs=True)
        for (_, answer), output in zip(entries, outputs, strict=True):
            answer.set_result(output)


@ray.remote(num_cpus=0)
class RolloutActor:
    """Asks for scores as a trainer's actor does, in one of several ways."""

    def __init__(self, plain_actor: Any) -> None:
        numbers = range(BURST_SAMPLES)
        self._samples = [Sample(prompt="p" * 1000, response=f"#### {n}" + "r" * 1000, label="1") for n in numbers]
        client, router, self._bare_router = HandleClient(), serve.get_app_handle(APP_NAME), serve.get_app_handle("bare")
        self._ways: dict[str, Callable[[Sample], Awaitable[Any]]] = {
            "coalesced": lambda sample: client.ascore([sample], reward=REWARD),
            "bare_coalescer": BareCoalescer(self._bare_router).score,
            "handle_call_a_sample": lambda sample: router.score.remote(REWARD, [sample]),
            "actor_call_a_sample": lambda sample: plain_actor.score.remote([sample]),
        }

    async def bursts(self, way: str, count: int) -> None:
        """So many bursts, one after the other."""
        for _ in range(count):
            for answer in await asyncio.gather(*map(self._ways[way], self._samples)):
                check(answer)

    async def sustained(self, way: str, count: int) -> None:
        """As many samples, each coroutine on its own."""
        ask = self._ways[way]

        async def goes_on(sample: Sample) -> None:
            for _ in range(count):
                check(await ask(sample))

        await asyncio.gather(*map(goes_on, self._samples))

    async def bare_calls(self, count: int) -> None:
        """So many bursts as one call each."""
        for _ in range(count):
            await call_handle(self._bare_router, "score", SampleBatch(self._samples), with_outputs=False)


def check(answer: list[RewardOutput] | RewardOutput | list[float]) -> None:
    """It is a score."""
    first = answer[0] if isinstance(answer, list) else answer
    if isinstance(first, RewardOutput) and not first.is_valid:
        raise RuntimeError(f"a sample was not scored: {first.failure}")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one round cost."""

    samples_per_s: float
    cpu_us_per_sample: float


def cluster_cpu_s() -> float:
    return cpu_s_of([psutil.Process(), *started_processes()])


def measure(ask: Any, path: str, *, idle: float) -> Cost:
    bursts = BURSTS[path]
    before_s, started_s = cluster_cpu_s(), time.perf_counter()
    ray.get(ask(bursts))
    wall_s = time.perf_counter() - started_s
    used_s = cluster_cpu_s() - before_s - idle * wall_s
    count = bursts * BURST_SAMPLES
    return Cost(count / wall_s, used_s / count * 1e6)


def main() -> None:
    asked, load_before = arguments(__doc__), load()
    rounds: dict[str, list[Cost]] = {path: [] for path in BURSTS}
    idle: list[float] = []
    with EmbeddedCluster():
        serve.run(build_app(ServiceConfig.parse(CONFIG, source="benchmark")), name=APP_NAME)
        serve.run(BareRouter.bind(BareReward.bind()), name="bare", route_prefix="/bare")
        actor = RolloutActor.remote(PlainActor.remote())
        asks = {path: partial(actor.bursts.remote, path) for path in BURSTS}
        for path in BURSTS:
            if path.endswith("_sustained"):
                asks[path] = partial(actor.sustained.remote, path.removesuffix("_sustained"))
        asks["bare_call_a_burst"] = actor.bare_calls.remote
        for ask in asks.values():
            ray.get(ask(1))  # warm: connections, imports, the router's view of its replicas
        for _ in range(asked.rounds):
            idle.append(idle_cores(cluster_cpu_s))
            for path, ask in asks.items():
                ray.get(ask(1))  # so that what the path before has left is not measured
                rounds[path].append(measure(ask, path, idle=idle[-1]))
    figures = {path: spreads([asdict(cost) for cost in costs]) for path, costs in rounds.items()}

    def speed_ratio(fast: str, slow: str) -> dict[str, float]:
        pairs = zip(rounds[fast], rounds[slow], strict=True)
        return spread([one.samples_per_s / other.samples_per_s for one, other in pairs])

    bursts, sustained = "handle_call_a_sample", "handle_call_a_sample_sustained"
    ratios = {
        "speed_ratio": speed_ratio("coalesced", bursts),
        "speed_ratio_sustained": speed_ratio("coalesced_sustained", sustained),
        "bare_coalescer_speed_ratio": speed_ratio("bare_coalescer", bursts),
        "bare_coalescer_speed_ratio_sustained": speed_ratio("bare_coalescer_sustained", sustained),
        "bare_call_speed_ratio": speed_ratio("bare_call_a_burst", bursts),
    }
    targets = {
        "cpu_us_per_sample": target(figures["coalesced"]["cpu_us_per_sample"]["median"], at_most=40.0),
        "speed_ratio": target(ratios["speed_ratio"]["median"], at_least=50.0),
        "speed_ratio_sustained": target(ratios["speed_ratio_sustained"]["median"], at_least=50.0),
    }
    result = {"rounds": asked.rounds, "idle_cores": spread(idle), **figures, **ratios, "targets": targets}
    report(__doc__, result, asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
