"""Single-sample scorings of one process: coalesced by the handle client, against one handle call a sample.

What OpenRLHF's rollout actors do: many coroutines, one sample each. Five alternating rounds on one Ray, a trivial
reward; medians and spread as JSON on stdout. CPU seconds are those of all processes but this one, and of this one
apart, since both ends work.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable

import psutil
import ray
from ray import serve

from rayreward import HandleClient, Sample
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import APP_NAME, build_app
from rayreward.serve.cluster import EmbeddedCluster

ROUNDS = 5
SAMPLES = [Sample(prompt="p" * 1000, response=f"#### {number}" + "r" * 1000, label="1") for number in range(1024)]
REWARD = "length"
CONFIG = {"rewards": [{"name": REWARD, "builtin": "length", "args": {"target": 5}, "num_replicas": 1}]}


def cpu_s() -> tuple[float, float]:
    """CPU seconds so far: of this process, and of the cluster's."""
    own = psutil.Process()
    cluster = 0.0
    for child in own.children(recursive=True):
        times = child.cpu_times()
        cluster += times.user + times.system
    times = own.cpu_times()
    return times.user + times.system, cluster


async def coalesced() -> None:
    client = HandleClient()
    await asyncio.gather(*(client.ascore([sample], reward=REWARD) for sample in SAMPLES))
    await client.aclose()


async def one_call_a_sample() -> None:
    handle = serve.get_app_handle(APP_NAME)
    await asyncio.gather(*(handle.score.remote(REWARD, [sample]) for sample in SAMPLES))


def measure(work: Callable[[], Awaitable[None]]) -> dict[str, float]:
    own, cluster = cpu_s()
    started_s = time.perf_counter()
    asyncio.run(work())  # type: ignore[arg-type]
    wall_s = time.perf_counter() - started_s
    own_after, cluster_after = cpu_s()
    count = len(SAMPLES)
    return {
        "samples_per_s": count / wall_s,
        "client_cpu_us_per_sample": (own_after - own) / count * 1e6,
        "cluster_cpu_us_per_sample": (cluster_after - cluster) / count * 1e6,
    }


def summarise(rounds: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        key: {
            "median": statistics.median(one[key] for one in rounds),
            "min": min(one[key] for one in rounds),
            "max": max(one[key] for one in rounds),
        }
        for key in rounds[0]
    }


def main() -> None:
    paths = {"coalesced": coalesced, "one_call_a_sample": one_call_a_sample}
    with EmbeddedCluster():
        serve.run(build_app(ServiceConfig.parse(CONFIG, source="benchmark")), name=APP_NAME)
        for path in paths.values():
            asyncio.run(path())  # warm: connections, imports, the router's view of its replicas
        rounds = [{name: measure(path) for name, path in paths.items()} for _ in range(ROUNDS)]
    result = {name: summarise([one[name] for one in rounds]) for name in paths}
    ratio = statistics.median(
        one["coalesced"]["samples_per_s"] / one["one_call_a_sample"]["samples_per_s"] for one in rounds
    )
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    print(json.dumps({"machine": machine, "ray": ray.__version__, **result, "samples_per_s_ratio": ratio}, indent=2))


if __name__ == "__main__":
    main()
