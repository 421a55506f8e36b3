"""Memory of every process while a million samples stream through.

Requests of 1,024 different samples, eight at a time, from one actor by the handle client, to a reward whose scores are
kept (a full cache is part of what must stay flat: it holds 20,000 here). A twentieth of the samples fails, and every
second request is OpenRLHF's, for a run that changes a hundred times on the way. Resident memory of the router, the
replica and the asking actor is read after every 50,000; flat means that the second half of the way adds no more than
5 % to what the first half ended with. It stops when its time is over, and says how far it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import ray
from measuring import arguments, load, report, started_processes, target
from ray import serve

from rayreward import HandleClient, Sample
from rayreward.client.trainer import TrainerClient
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import APP_NAME, build_app
from rayreward.serve.cluster import EmbeddedCluster

TOTAL_SAMPLES = 1_000_000
STRETCH_SAMPLES = 50_000
REQUEST_SAMPLES = 1_024
AT_ONCE = 8
LIMIT_S = 900.0
ADDRESS = f"{Path(__file__).with_name('rewards.py')}::kept"
CONFIG = {
    "rewards": [{"name": "kept", "import_path": ADDRESS, "num_replicas": 1, "cache_entries": 20_000}],
    "openrlhf": {"sibling_wait_s": 0.0},
}


@ray.remote(num_cpus=0)
class RolloutActor:
    """Streams samples that nobody has asked for before."""

    def __init__(self) -> None:
        self._client = HandleClient()
        self._sent = 0
        self._trainer: tuple[str, TrainerClient] | None = None

    async def stretch(self, count: int) -> int:
        """Score so many; how many had no score."""
        failed, left = 0, count

        async def caller() -> None:
            nonlocal failed, left
            while left > 0:
                left -= REQUEST_SAMPLES
                without_score = await self._ask()  # not `failed += await`: others add to it meanwhile
                failed += without_score

        await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
        return failed

    async def _ask(self) -> int:
        first, self._sent = self._sent, self._sent + REQUEST_SAMPLES
        samples = [
            Sample(prompt=f"question {n // 8}", response=f"{n} " + "r" * 200, label="1")
            for n in range(first, self._sent)
        ]
        run = f"run-{first * 100 // TOTAL_SAMPLES}"
        if (first // REQUEST_SAMPLES) % 2 == 0:
            answers = await asyncio.gather(*(self._trainer_of(run).answer([sample]) for sample in samples))
            return sum(not answer.is_valid for [answer] in answers)
        outputs = await self._client.ascore(samples, reward="kept", run=run)
        return sum(not output.is_valid for output in outputs)

    def _trainer_of(self, run: str) -> TrainerClient:
        if self._trainer is None or self._trainer[0] != run:
            self._trainer = run, TrainerClient(APP_NAME, reward="kept", run=run)
        return self._trainer[1]


def memory_mib() -> dict[str, float]:
    """Resident, by what the process is."""
    found: dict[str, float] = {}
    for process in started_processes():
        with contextlib.suppress(psutil.Error):
            title = " ".join(process.cmdline())
            for name, mark in (("router", ":router"), ("replica", ":kept"), ("actor", "RolloutActor")):
                if "ray::" in title and mark in title:
                    found[name] = round(process.memory_info().rss / 2**20, 1)
    return found


def growth(readings: list[Mapping[str, float]], name: str) -> float:
    """The last reading over the one at half of the way."""
    return readings[-1][name] / readings[len(readings) // 2][name]


def main() -> None:
    asked, load_before = arguments(__doc__, rounds=1), load()
    readings: list[dict[str, float]] = []
    failed = sent = 0
    with EmbeddedCluster():
        serve.run(build_app(ServiceConfig.parse(CONFIG, source="benchmark")), name=APP_NAME)
        actor = RolloutActor.remote()
        started_s = time.perf_counter()
        while sent < TOTAL_SAMPLES and time.perf_counter() - started_s < LIMIT_S:
            failed += ray.get(actor.stretch.remote(STRETCH_SAMPLES))
            sent += -(-STRETCH_SAMPLES // REQUEST_SAMPLES) * REQUEST_SAMPLES
            readings.append({"samples": float(sent), **memory_mib()})
        wall_s = time.perf_counter() - started_s
    names = ("router", "replica", "actor")
    result: dict[str, Any] = {
        "samples": sent, "failed": failed, "samples_per_s": sent / wall_s, "resident_mib": readings,
        "targets": {f"{name}_second_half": target(growth(readings, name), at_most=1.05) for name in names},
    }  # fmt: skip
    report(__doc__, result, asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
