"""How a reward's rate grows with its replicas.

A reward whose replica is busy for 50 ms a batch of 64, whatever is in it, and burns no CPU: what a GPU looks like from
here. One actor of the cluster asks for thousands of samples at once. The same service with 1, 2, 4 and 8 replicas,
every round from the first to the last; efficiency is a round's rate over that of one replica in the same round, by
replicas.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import psutil
import ray
from measuring import arguments, cpu_s_of, load, report, spread, started_processes, target
from ray import serve

from rayreward import HandleClient, Sample
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import build_app
from rayreward.serve.cluster import EmbeddedCluster

REPLICAS = (1, 2, 4, 8)
BATCH_SAMPLES = 64
CALLS_A_REPLICA = 120
"""In one measurement: six seconds of work for each, against a tenth of one until all are busy and until the last is."""

ADDRESS = f"{Path(__file__).with_name('rewards.py')}::busy"


def app_name(replicas: int) -> str:
    return f"with_{replicas}"


def config(replicas: int) -> ServiceConfig:
    reward = {
        "name": "busy", "import_path": ADDRESS, "num_replicas": replicas, "max_batch_samples": BATCH_SAMPLES,
        "ray_actor_options": {"num_cpus": 0},
    }  # fmt: skip
    return ServiceConfig.parse({"rewards": [reward]}, source="benchmark")


@ray.remote(num_cpus=0)
class RolloutActor:
    """Asks for all at once."""

    async def score(self, app: str, count: int) -> float:
        """Seconds that so many samples take."""
        client = HandleClient(app)
        samples = [Sample(prompt="p" * 200, response=f"{n}" + "r" * 200) for n in range(count)]
        started_s = time.perf_counter()
        asked = [client.ascore(samples[at : at + 512]) for at in range(0, count, 512)]
        outputs = [output for part in await asyncio.gather(*asked) for output in part]
        if not all(output.is_valid for output in outputs):
            raise RuntimeError("a sample was not scored")
        return time.perf_counter() - started_s


def measure(actor: Any, replicas: int) -> dict[str, float]:
    count = replicas * CALLS_A_REPLICA * BATCH_SAMPLES
    before_s = cpu_s_of([psutil.Process(), *started_processes()])
    wall_s = ray.get(actor.score.remote(app_name(replicas), count))
    used_s = cpu_s_of([psutil.Process(), *started_processes()]) - before_s
    return {"samples_per_s": count / wall_s, "cpu_cores": used_s / wall_s}


def main() -> None:
    asked, load_before = arguments(__doc__), load()
    rounds: list[dict[int, dict[str, float]]] = []
    with EmbeddedCluster(cpus=16):
        for replicas in REPLICAS:
            serve.run(build_app(config(replicas)), name=app_name(replicas), route_prefix=f"/{app_name(replicas)}")
        actor = RolloutActor.remote()
        for replicas in REPLICAS:
            measure(actor, replicas)  # warm
        for _ in range(asked.rounds):
            rounds.append({replicas: measure(actor, replicas) for replicas in REPLICAS})
    table: dict[str, Any] = {}
    for replicas in REPLICAS:
        rates = [one[replicas]["samples_per_s"] for one in rounds]
        shares = [one[replicas]["samples_per_s"] / one[1]["samples_per_s"] / replicas for one in rounds]
        cores = [one[replicas]["cpu_cores"] for one in rounds]
        table[str(replicas)] = {
            "samples_per_s": spread(rates), "of_linear": spread(shares), "cpu_cores": spread(cores),
            "ideal_samples_per_s": replicas * BATCH_SAMPLES / 0.05,
        }  # fmt: skip
    reached = table["8"]["of_linear"]["median"]
    result = {"rounds": asked.rounds, "replicas": table, "targets": {"of_linear": target(reached, at_least=0.9)}}
    report(__doc__, result, asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
