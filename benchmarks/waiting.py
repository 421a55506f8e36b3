"""Callers of a reward that waits for somebody else, as a judge does: how long each waits beside its own sample's time.

A reward of one replica that waits, log-normally by the response (median 1 s, sigma 0.7, at most 10 s), and burns
nothing; 64 and 256 callers that each ask for one sample, and for the next when they have it, for a while: in the
cluster through one handle client, and over HTTP through a client for every 32. If nothing were in between, a caller's
time over its own sample's would be 1, and so the share of their time that callers wait for their own samples, which is
their samples a second over the ideal. CPU is that of router and replica.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from measuring import arguments, cpu_s_of, load, report, spreads, started_processes, target
from ray import serve

from rayreward import HandleClient, HttpClient, RewardClient
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import build_app
from rayreward.serve.cluster import EmbeddedCluster

ADDRESS = f"{Path(__file__).with_name('rewards.py')}::waits"
APP = "waiting"
ASKING_S = 15.0
CALLERS = (64, 256)
CALLERS_A_CLIENT = 32
"""Over HTTP: a connection pool has 100."""


def config() -> ServiceConfig:
    return ServiceConfig.parse({"rewards": [{"name": "waits", "import_path": ADDRESS, "num_replicas": 1}]}, source=APP)


async def ask(clients: Sequence[RewardClient], callers: int) -> dict[str, float]:
    """What the callers had, from the first question to the last answer."""
    own_s: list[float] = []
    waited_s: list[float] = []
    until_s = time.perf_counter() + ASKING_S

    async def call(number: int) -> None:
        question = 0
        while (started_s := time.perf_counter()) < until_s:
            response = f"{callers}/{number}/{question}"
            [output] = await clients[number % len(clients)].ascore([{"response": response}])
            if output.score is None:
                raise RuntimeError(f"a sample was not scored: {output.failure}")
            own_s.append(output.score)
            waited_s.append(time.perf_counter() - started_s)
            question += 1

    before_s = service_cpu_s()
    await asyncio.gather(*map(call, range(callers)))
    used_s = service_cpu_s() - before_s
    over = sorted(waited / own for waited, own in zip(waited_s, own_s, strict=True))
    return {
        "samples_per_s": callers / statistics.fmean(waited_s), "of_ideal": sum(own_s) / sum(waited_s),
        "over_own_median": statistics.median(over), "over_own_p95": over[int(0.95 * len(over))],
        "cpu_ms_per_sample": 1000 * used_s / len(own_s),
    }  # fmt: skip


def service_cpu_s() -> float:
    """Of router and replica."""
    return cpu_s_of(process for process in started_processes() if _is_replica(process))


def _is_replica(process: psutil.Process) -> bool:
    try:
        return "ServeReplica" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return False


async def measure(url: str, callers: int) -> dict[str, dict[str, float]]:
    async with HandleClient(APP) as client:
        found = {"handle": await ask([client], callers)}
    clients = [HttpClient(url) for _ in range(callers // CALLERS_A_CLIENT)]
    found["http"] = await ask(clients, callers)
    for one in clients:
        await one.aclose()
    return found


def main() -> None:
    asked, load_before = arguments(__doc__, rounds=3), load()
    rounds: dict[str, list[dict[str, float]]] = {}
    with EmbeddedCluster() as cluster:
        serve.run(build_app(config()), name=APP, route_prefix="/")
        for _ in range(asked.rounds):
            for callers in CALLERS:
                for way, one in asyncio.run(measure(cluster.url, callers)).items():
                    rounds.setdefault(f"{way}_{callers}", []).append(one)
    table: dict[str, Any] = {name: spreads(found) for name, found in rounds.items()}
    targets = {name: target(found["of_ideal"]["median"], at_least=0.75) for name, found in table.items()}
    report(__doc__, {"rounds": asked.rounds, "ways": table, "targets": targets}, asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
