"""Single-sample scorings of one process: coalesced by the handle client, against one handle call a sample.

What OpenRLHF's rollout actors do: an async actor of the cluster with many coroutines, one sample of 2 KB each, through
client, router and replica of a trivial reward. Five alternating rounds on one Ray; medians and spread as JSON on
stdout. CPU seconds are those of every process of the cluster, the asking actor among them and this one too, less what
the same processes burn in as much time when nobody asks. A round asks in bursts of 1,024, as often as makes its CPU
time long against the ten milliseconds that the kernel counts in.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import ray
from ray import serve

from rayreward import HandleClient, Sample
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import APP_NAME, build_app
from rayreward.serve.cluster import EmbeddedCluster

ROUNDS = 5
BURST_SAMPLES = 1024
COALESCED_BURSTS = 20
IDLE_S = 5.0
REWARD = "trivial"
ADDRESS = f"{Path(__file__).with_name('rewards.py')}::trivial"
CONFIG = {"rewards": [{"name": REWARD, "import_path": ADDRESS, "num_replicas": 1}]}
CPU_TARGET_US = 40.0
SPEED_TARGET = 50.0


@ray.remote(num_cpus=0)
class RolloutActor:
    """Asks for scores as a trainer's actor does."""

    def __init__(self) -> None:
        numbers = range(BURST_SAMPLES)
        self._samples = [Sample(prompt="p" * 1000, response=f"#### {n}" + "r" * 1000, label="1") for n in numbers]
        self._client = HandleClient()

    async def coalesced(self, bursts: int) -> None:
        """Bursts of coroutines with a sample each, through one client."""
        for _ in range(bursts):
            found = await asyncio.gather(*(self._client.ascore([sample], reward=REWARD) for sample in self._samples))
            if not all(outputs[0].is_valid for outputs in found):
                raise RuntimeError(f"a sample was not scored: {found[0][0].failure}")

    async def one_call_a_sample(self, bursts: int) -> None:
        """The same without the client."""
        handle = serve.get_app_handle(APP_NAME)
        for _ in range(bursts):
            await asyncio.gather(*(handle.score.remote(REWARD, [sample]) for sample in self._samples))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one round cost."""

    samples_per_s: float
    cpu_us_per_sample: float


def cpu_s() -> float:
    """CPU seconds so far of this process and of the cluster's."""
    own = psutil.Process()
    times = [process.cpu_times() for process in (own, *own.children(recursive=True))]
    return sum(one.user + one.system for one in times)


def idle_cores() -> float:
    """What the cluster burns when nobody asks."""
    before_s = cpu_s()
    time.sleep(IDLE_S)
    return (cpu_s() - before_s) / IDLE_S


def measure(actor: Any, path: str, *, bursts: int, idle: float) -> Cost:
    before_s, started_s = cpu_s(), time.perf_counter()
    ray.get(getattr(actor, path).remote(bursts))
    wall_s = time.perf_counter() - started_s
    used_s = cpu_s() - before_s - idle * wall_s
    count = bursts * BURST_SAMPLES
    return Cost(count / wall_s, used_s / count * 1e6)


def summarise(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main() -> None:
    paths = {"coalesced": COALESCED_BURSTS, "one_call_a_sample": 1}
    rounds: dict[str, list[Cost]] = {path: [] for path in paths}
    idle: list[float] = []
    with EmbeddedCluster():
        serve.run(build_app(ServiceConfig.parse(CONFIG, source="benchmark")), name=APP_NAME)
        actor = RolloutActor.remote()
        for path in paths:
            ray.get(getattr(actor, path).remote(1))  # warm: connections, imports, the router's view of its replicas
        for _ in range(ROUNDS):
            idle.append(idle_cores())
            for path, bursts in paths.items():
                rounds[path].append(measure(actor, path, bursts=bursts, idle=idle[-1]))
    figures = {
        path: {key: summarise([asdict(cost)[key] for cost in costs]) for key in asdict(costs[0])}
        for path, costs in rounds.items()
    }
    pairs = zip(rounds["coalesced"], rounds["one_call_a_sample"], strict=True)
    ratio = summarise([fast.samples_per_s / slow.samples_per_s for fast, slow in pairs])
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    result: dict[str, Any] = {"machine": machine, "ray": ray.__version__, "idle_cores": summarise(idle), **figures}
    result["speed_ratio"] = ratio
    cpu_us = figures["coalesced"]["cpu_us_per_sample"]["median"]
    result["targets"] = {
        "cpu_us_per_sample": {"measured": cpu_us, "at_most": CPU_TARGET_US, "is_met": cpu_us <= CPU_TARGET_US},
        "speed_ratio": {
            "measured": ratio["median"],
            "at_least": SPEED_TARGET,
            "is_met": ratio["median"] >= SPEED_TARGET,
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
