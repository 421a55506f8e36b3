"""How long healthy samples wait for a slow one that travels in the same call, where 64 callers ask for one each.

Mathematics: a hostile answer that math-verify does not decide in time and 63 healthy ones, each of another caller,
through the router's lane and a replica's own code in this process; the deadline is 3 s. The same beside the response's
length in a weighted sum, with the deadline that `math` has by itself, 5 s. A function: one that hangs, the first of its
call, and 63 healthy ones behind it in the same process. Seconds from the first question to the last healthy answer and
to the slow one's. Each round has a replica of its own.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from typing import Any

from hostile_mathematics import HOSTILE
from measuring import arguments, load, report, spreads, target

from rayreward.batches import AskedAgain
from rayreward.router.batching import BatchLimits
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.router.terms import Terms
from rayreward.sample import Sample
from rayreward.serve.replica import RewardReplica
from rayreward.spec import RewardSpec
from rayreward.types import RewardOutput

TIMEOUT_S = 3.0
HEALTHY = 63
HANGS = "7", rf"\boxed{{{HOSTILE['near one to a tower']}}}"
"""A label, and the answer that math-verify does not decide in time."""

PARTS = [
    {"builtin": "math", "weight": 0.9},
    {"builtin": "length", "weight": 0.1, "args": {"target": 1, "tolerance": 100}},
]


class Replica(RewardReplica):
    """One without Ray around it."""

    def __del__(self) -> None:
        """What Serve awaits, this file does by itself."""


def hangs(response: str, label: str) -> float:
    if response == "hang":
        threading.Event().wait()
    return float(response == label)


async def measure(spec: RewardSpec, slow: Sample, healthy: Sample) -> dict[str, float]:
    replica = Replica.__new__(Replica)
    await replica.__init__(spec)  # type: ignore[misc]

    async def send(batch: list[Sample]) -> Sequence[RewardOutput]:
        ticket = batch.ticket if isinstance(batch, AskedAgain) else None
        return await replica.score(batch, may_be_early=ticket is None, ticket=ticket)

    lane = open_lane(send, slot_count=1, limits=BatchLimits(), policy=LanePolicy(cache_entries=0), now=time.monotonic)
    lane.learn(RewardFacts("v"))
    await replica.score([healthy])  # as any replica that is at work: the first sample of a process has more time
    started_s = time.perf_counter()

    async def ask(sample: Sample) -> tuple[float, RewardOutput]:
        [output] = await lane.score([sample], Terms())
        return time.perf_counter() - started_s, output

    found = await asyncio.gather(*(ask(sample) for sample in (slow, *[healthy] * HEALTHY)))
    (slow_s, slow_output), others = found[0], found[1:]
    assert slow_output.failure is not None, "it is to hang"
    assert all(output.score == 1.0 for _, output in others)
    await lane.close()
    await RewardReplica.__del__(replica)
    return {"last_healthy_s": max(taken_s for taken_s, _ in others), "slow_s": slow_s}


async def measure_all(rounds: int) -> dict[str, Any]:
    parsed = {
        "math": RewardSpec.parse({"name": "r", "builtin": "math", "timeout_s": TIMEOUT_S}, source="benchmark"),
        "composite": RewardSpec.parse({"name": "r", "parts": PARTS}, source="benchmark"),
        "function": RewardSpec.parse(
            {"name": "r", "import_path": f"{__file__}::hangs", "timeout_s": TIMEOUT_S}, source="benchmark"
        ),
    }
    answers = Sample(prompt="", label=HANGS[0], response=HANGS[1]), Sample(prompt="", label="7", response=r"\boxed{7}")
    samples = {
        "math": answers,
        "composite": answers,
        "function": (Sample(prompt="", label="1", response="hang"), Sample(prompt="", label="1", response="1")),
    }
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in parsed}
    for _ in range(rounds):
        for kind, spec in parsed.items():
            found[kind].append(await measure(spec, *samples[kind]))
    results = {kind: spreads(one) for kind, one in found.items()}
    return {
        **results,
        "deadline_s": TIMEOUT_S,
        "targets": {
            f"{kind}_last_healthy_s": target(one["last_healthy_s"]["median"], at_most=0.5)
            for kind, one in results.items()
        },
    }


def main() -> None:
    asked, load_before = arguments(__doc__), load()
    report(__doc__, asyncio.run(measure_all(asked.rounds)), asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
