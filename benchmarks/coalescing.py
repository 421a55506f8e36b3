"""Single-sample scorings of one process: coalesced by the handle client, against a call a sample.

What OpenRLHF's rollout actors do: an async actor of the cluster with 1,024 coroutines at once, a sample of 2 KB each,
through client, router and replica of a trivial reward. Against it one call of the router's handle a sample, and one
call of a plain Ray actor a sample, which scores nothing. Alternating rounds on one Ray; CPU seconds are those of every
process of the cluster, the asking actor among them, and of this one, less what the same processes burn in as much time
when nobody asks.

``coalesced_frozen`` is the same from an actor that has called ``gc.freeze()`` once it was loaded: what is left to gain
where the client has Python's collector look seldom already (`rayreward.collecting`). ``bare_call_a_burst`` is the
floor of such a path: the burst as one call through two plain deployments, the first of which only hands it on, without
a coroutine a sample, and without an output's version, timings and failure.
"""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import ray
from measuring import arguments, cpu_s_of, idle_cores, load, report, spread, spreads, started_processes, target
from ray import serve

from rayreward import HandleClient, Sample
from rayreward.batches import SampleBatch
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import APP_NAME, build_app
from rayreward.serve.calls import call_handle
from rayreward.serve.cluster import EmbeddedCluster

BURST_SAMPLES = 1024
BURSTS = {
    "coalesced": 60, "coalesced_frozen": 60, "bare_call_a_burst": 60, "handle_call_a_sample": 2,
    "actor_call_a_sample": 1,
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

    async def score(self, samples: list[Sample]) -> list[float]:
        """Their lengths."""
        return [float(len(sample.response)) for sample in samples]


@serve.deployment(name="bare_router", ray_actor_options={"num_cpus": 0})
class BareRouter:
    """Hands on, and nothing else."""

    def __init__(self, reward: Any) -> None:
        self._reward = reward

    async def score(self, samples: list[Sample]) -> list[float]:
        """What the reward says."""
        scores: list[float] = await call_handle(self._reward, "score", samples)
        return scores


@ray.remote(num_cpus=0)
class RolloutActor:
    """Asks for scores as a trainer's actor does."""

    def __init__(self, *, freezes: bool) -> None:
        numbers = range(BURST_SAMPLES)
        self._samples = [Sample(prompt="p" * 1000, response=f"#### {n}" + "r" * 1000, label="1") for n in numbers]
        self._client = HandleClient()
        if freezes:
            gc.collect()
            gc.freeze()

    async def coalesced(self, bursts: int) -> None:
        """Bursts of coroutines with a sample each, through one client."""
        for _ in range(bursts):
            found = await asyncio.gather(*(self._client.ascore([sample], reward=REWARD) for sample in self._samples))
            if not all(outputs[0].is_valid for outputs in found):
                raise RuntimeError(f"a sample was not scored: {found[0][0].failure}")

    async def bare_call_a_burst(self, bursts: int) -> None:
        """What every sample's policies are measured by."""
        handle = serve.get_app_handle("bare")
        for _ in range(bursts):
            await call_handle(handle, "score", SampleBatch(self._samples))

    async def handle_call_a_sample(self, bursts: int) -> None:
        """The same without the client."""
        handle = serve.get_app_handle(APP_NAME)
        for _ in range(bursts):
            await asyncio.gather(*(handle.score.remote(REWARD, [sample]) for sample in self._samples))

    async def actor_call_a_sample(self, bursts: int, actor: Any) -> None:
        """The same without Serve."""
        for _ in range(bursts):
            await asyncio.gather(*(actor.score.remote([sample]) for sample in self._samples))


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
        actor, frozen = RolloutActor.remote(freezes=False), RolloutActor.remote(freezes=True)
        plain = PlainActor.remote()
        asks = {
            "coalesced": actor.coalesced.remote,
            "coalesced_frozen": frozen.coalesced.remote,
            "bare_call_a_burst": actor.bare_call_a_burst.remote,
            "handle_call_a_sample": actor.handle_call_a_sample.remote,
            "actor_call_a_sample": lambda bursts: actor.actor_call_a_sample.remote(bursts, plain),
        }
        for ask in asks.values():
            ray.get(ask(1))  # warm: connections, imports, the router's view of its replicas
        for _ in range(asked.rounds):
            idle.append(idle_cores(cluster_cpu_s))
            for path, ask in asks.items():
                rounds[path].append(measure(ask, path, idle=idle[-1]))
    figures = {path: spreads([asdict(cost) for cost in costs]) for path, costs in rounds.items()}
    pairs = zip(rounds["coalesced"], rounds["handle_call_a_sample"], strict=True)
    ratio = spread([fast.samples_per_s / slow.samples_per_s for fast, slow in pairs])
    pairs = zip(rounds["bare_call_a_burst"], rounds["handle_call_a_sample"], strict=True)
    bare_ratio = spread([fast.samples_per_s / slow.samples_per_s for fast, slow in pairs])
    cpu_us = {path: figures[path]["cpu_us_per_sample"]["median"] for path in ("coalesced", "coalesced_frozen")}
    targets = {
        "cpu_us_per_sample": target(cpu_us["coalesced"], at_most=40.0),
        "cpu_us_per_sample_frozen": target(cpu_us["coalesced_frozen"], at_most=40.0),
        "speed_ratio": target(ratio["median"], at_least=50.0),
    }
    result = {
        "rounds": asked.rounds, "idle_cores": spread(idle), **figures, "speed_ratio": ratio,
        "bare_speed_ratio": bare_ratio, "targets": targets,
    }  # fmt: skip
    report(__doc__, result, asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
