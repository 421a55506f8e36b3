"""Ten minutes of mixed callers and seeded faults, and what became of every sample.

Callers over HTTP, msgpack, Ray handles, our client for rollout actors and OpenRLHF's own client, each against a reward
that works, one that fails every third call and one whose grader hangs. Meanwhile, from a seeded schedule: a reward's
replica, the router or Serve's controller is killed, the service is deployed again, a replica stands still, a caller
leaves. Ends with JSON on stdout, and with status 1 where a sample was lost, answered twice or given a wrong score.

Run it from the repository's root: ``python -m benchmarks.soak``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import json
import logging
import os
import platform
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import ray

from rayreward import HttpClient
from rayreward.serve.cluster import EmbeddedCluster
from tests import victims
from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.faults.service import Service

TRANSPORTS = (
    "http own port",
    "msgpack own port",
    "http proxy",
    "handle",
    "trainer",
    "openrlhf own port",
    "openrlhf proxy",
)
REWARDS = ("steady", "thirds", "hanging")
MAY_FAIL = {"error", "timeout"}
PAUSES_S = (8.0, 16.0)
"""Between two faults: enough to recover from most, and short enough that some meet another one."""


@dataclass
class Fault:
    """What was done, when, and how long no sample was scored afterwards, by transport, until the next fault."""

    name: str
    at_s: float
    longest_gap_s: dict[str, float]


class Soak:
    """Load and faults on one service."""

    def __init__(self, service: Service, *, seed: int) -> None:
        self.service, self.random = service, random.Random(seed)
        self.ledgers = {reward: Ledger() for reward in REWARDS}
        self.faults: list[Fault] = []
        self.started_s = time.monotonic()
        self._deployed = 0
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "reward replica killed": self._kill_replica,
            "router killed": self._kill_router,
            "controller killed": self._kill_controller,
            "redeployed": self._redeploy,
            "replica stands still for 3 s": self._stand_still,
            "a caller of 2,000 samples leaves": self._leave,
        }

    async def run(self, seconds: float) -> None:
        """Until the time is over and every sample is answered."""
        async with (
            Load(self._callers("steady"), ledger=self.ledgers["steady"]) as steady,
            Load(self._callers("thirds"), ledger=self.ledgers["thirds"]),
            Load(self._callers("hanging"), ledger=self.ledgers["hanging"], samples_a_request=8),
        ):
            await steady.goes_on(20)
            schedule: list[str] = []
            while time.monotonic() - self.started_s < seconds:
                if not schedule:  # every kind once a round, in an order of its own
                    schedule = self.random.sample(sorted(self._kinds), k=len(self._kinds))
                await self._break(schedule.pop())
                await asyncio.sleep(self.random.uniform(*PAUSES_S))
                self._close_gaps()
                self.say()
            await steady.goes_on(100)

    def _callers(self, reward: str) -> list[Any]:
        has_openrlhf = importlib.util.find_spec("openrlhf") is not None
        asked = [one for one in TRANSPORTS if has_openrlhf or not one.startswith("openrlhf")]
        return self.service.callers(reward, transports=tuple(asked))

    async def _break(self, kind: str) -> None:
        for account in self.ledgers["steady"].accounts.values():
            account.gap_since_mark_s = 0.0
        self.faults.append(Fault(kind, round(time.monotonic() - self.started_s, 1), {}))
        try:
            await self._kinds[kind]()
        except (psutil.Error, IndexError, ValueError, ray.exceptions.RayError) as error:
            self.faults[-1].name += f" (not this time: {type(error).__name__})"  # the victim is dead already

    def _close_gaps(self) -> None:
        accounts, now_s = self.ledgers["steady"].accounts, time.monotonic()
        self.faults[-1].longest_gap_s = {
            transport: round(max(one.gap_since_mark_s, now_s - (one.last_scored_s or now_s)), 2)
            for transport, one in accounts.items()
        }

    async def _kill_replica(self) -> None:
        self.random.choice(victims.replicas("steady")).kill()

    async def _kill_router(self) -> None:
        victims.replicas("router")[0].kill()

    async def _kill_controller(self) -> None:
        victims.controller().kill()

    async def _redeploy(self) -> None:
        self._deployed += 1
        await asyncio.to_thread(self.service.deploy, max_batch_samples=128 + self._deployed)

    async def _stand_still(self) -> None:
        victim = self.random.choice(victims.replicas("steady"))
        victim.suspend()
        await asyncio.sleep(3.0)
        victim.resume()

    async def _leave(self) -> None:
        async with HttpClient(self.service.fast_url) as client:
            samples = [{"response": str(number)} for number in range(1, 2001)]
            asking = asyncio.create_task(client.ascore(samples, reward="patient"))
            await asyncio.sleep(0.5)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    def totals(self) -> dict[str, int]:
        """Over all rewards and transports."""
        names = ("sent", "scored", "filled", "lost", "duplicated", "wrong")
        return {name: sum(ledger.total(name) for ledger in self.ledgers.values()) for name in names}

    def say(self) -> None:
        """A line of progress."""
        gaps = max(self.faults[-1].longest_gap_s.values(), default=0.0)
        print(
            f"{time.monotonic() - self.started_s:6.0f} s  {json.dumps(self.totals())}  "
            f"{self.faults[-1].name}: longest gap {gaps:.1f} s",
            file=sys.stderr,
        )

    def report(self) -> dict[str, Any]:
        """What became of it all."""
        failed = sum((ledger.failed() for ledger in self.ledgers.values()), start=type(Ledger().failed())())
        lost = [why for ledger in self.ledgers.values() for one in ledger.accounts.values() for _, why in one.lost]
        return {
            "samples": {
                **self.totals(),
                "failed_by_kind": dict(failed),
                "of_unexpected_kind": self._unexpected(failed),
            },
            "lost_because": sorted(set(lost))[:5],
            "wrong": [one for ledger in self.ledgers.values() for acc in ledger.accounts.values() for one in acc.wrong],
            "rewards": {
                reward: {name: one.summary() for name, one in ledger.accounts.items()}
                for reward, ledger in self.ledgers.items()
            },
            "faults": [asdict(fault) for fault in self.faults],
        }

    @staticmethod
    def _unexpected(failed: dict[str, int]) -> int:
        return sum(count for kind, count in failed.items() if kind not in MAY_FAIL)

    def is_clean(self) -> bool:
        """Whether nothing was lost, doubled or wrong."""
        totals = self.totals()
        return not (totals["lost"] or totals["duplicated"] or totals["wrong"])


def router_memory_bytes() -> int:
    return sum(process.memory_info().rss for process in victims.replicas("router"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    # OpenRLHF's client writes a line an attempt to stdout; they are not part of the JSON.
    logging.disable(logging.INFO)
    load_before = os.getloadavg()[0]
    # Ray tells of every killed process on stdout, which is for the JSON alone.
    with contextlib.redirect_stdout(sys.stderr), EmbeddedCluster() as cluster:
        service = Service(cluster)
        service.deploy()
        asyncio.run(service.becomes_whole())
        memory_bytes = {"router_at_start": router_memory_bytes()}
        soak = Soak(service, seed=asked.seed)
        asyncio.run(soak.run(asked.minutes * 60))
        asyncio.run(service.becomes_whole())
        memory_bytes["router_at_end"] = router_memory_bytes()
    machine = {
        "cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(),
        "ray": ray.__version__, "load_before": load_before, "load_after": os.getloadavg()[0],
    }  # fmt: skip
    report = {"machine": machine, "seed": asked.seed, "minutes": asked.minutes, **soak.report(), "bytes": memory_bytes}
    text = json.dumps(report, indent=2)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n")
    return 0 if soak.is_clean() else 1


if __name__ == "__main__":
    sys.exit(main())
