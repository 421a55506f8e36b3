"""What it costs to score in a process that can be killed, and how soon there is another after one was.

A reward of microseconds scores batches of 256 samples of 2 KB, in the calling process and in a killable one; CPU is
that of the calling process, the one that loaded the reward and the one that scores, a sample. The same for `ForkPool`,
whose calls carry one argument each. Then a sample ends its process, and the next is healthy: seconds from one answer to
the other, where the process is forked from one that has loaded the reward, and where it is started anew and loads it
again, which is what a reward gets that has started a thread in load(). Both load NumPy, and nothing more.
"""

from __future__ import annotations

import asyncio
import os
import resource
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psutil
from measuring import arguments, load, report, spread, spreads, target

from rayreward import RewardFunction, Sample
from rayreward.forking import ForkPool
from rayreward.workers import Runner, build_runner

BATCHES, BATCH_SAMPLES = 40, 256
DEATHS = 20
SAMPLES = [Sample(prompt="q" * 1000, response=f"{n} " + "r" * 1000, label="1") for n in range(BATCH_SAMPLES)]


class Cheap(RewardFunction):
    """Microseconds; a response of "exit" ends its process."""

    def __init__(self, *, starts_thread: bool = False) -> None:
        self.starts_thread = starts_thread

    def load(self) -> None:
        """NumPy, as half of all rewards do, and what forbids a fork where that is asked for."""
        import numpy  # noqa: F401

        if self.starts_thread:
            threading.Thread(target=threading.Event().wait, daemon=True).start()

    def compute_reward(self, trajectory: Sample) -> float:
        """Whether it is right."""
        if trajectory.response == "exit":
            os._exit(1)
        return float(trajectory.response.partition(" ")[0] == trajectory.label)


def identity(argument: Any) -> Any:
    return argument


def own_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def descendants_cpu_s() -> float:
    """Of the processes that live; in ticks of 10 ms."""
    return sum(sum(process.cpu_times()[:2]) for process in psutil.Process().children(recursive=True))


async def cost(score: Callable[[], Awaitable[Any]]) -> dict[str, float]:
    """Microseconds a sample."""
    await score()
    before_s, started_s = own_cpu_s() + descendants_cpu_s(), time.perf_counter()
    for _ in range(BATCHES):
        await score()
    count = BATCHES * BATCH_SAMPLES
    wall_s, cpu_s = time.perf_counter() - started_s, own_cpu_s() + descendants_cpu_s() - before_s
    return {"wall_us": wall_s / count * 1e6, "cpu_us": cpu_s / count * 1e6}


async def after_death_s(runner: Runner) -> float:
    """From a death to the next answer, each of its own batch."""
    taken_s = []
    for _ in range(DEATHS):
        started_s = time.perf_counter()
        dead, alive = await runner.run([Sample(response="exit"), SAMPLES[0]])
        taken_s.append(time.perf_counter() - started_s)
        assert not dead.is_valid
        assert alive.is_valid
    return sorted(taken_s)[DEATHS // 2]


async def measure(rounds: int) -> dict[str, Any]:
    reward = Cheap()
    reward.load()
    forked, anew = build_runner(Cheap()), build_runner(Cheap(starts_thread=True))
    pool = ForkPool("workers:identity", memory_bytes=None)
    arguments_ = [sample.response for sample in SAMPLES]
    await asyncio.gather(forked.start(), anew.start(), asyncio.to_thread(pool.start))
    costs: dict[str, list[dict[str, float]]] = {"inline": [], "killable": [], "fork_pool": []}
    deaths: dict[str, list[float]] = {"forked": [], "started_anew": []}

    async def in_pool() -> None:
        pool.run(arguments_, deadline_s=10.0)

    for _ in range(rounds):
        costs["inline"].append(await cost(lambda: reward.ascore(SAMPLES)))
        costs["killable"].append(await cost(lambda: forked.run(SAMPLES)))
        costs["fork_pool"].append(await cost(in_pool))
        deaths["forked"].append(await after_death_s(forked))
        deaths["started_anew"].append(await after_death_s(anew))
    pool.close()
    await asyncio.gather(forked.stop(), anew.stop())
    above = [
        killable["cpu_us"] - inline["cpu_us"]
        for inline, killable in zip(costs["inline"], costs["killable"], strict=True)
    ]
    return {
        "a_sample": {name: spreads(found) for name, found in costs.items()},
        "from_a_death_to_the_next_answer_s": {name: spread(found) for name, found in deaths.items()},
        "targets": {"cpu_us_above_the_function": target(spread(above)["median"], at_most=100.0)},
    }


def main() -> None:
    asked, load_before = arguments(__doc__), load()
    report(__doc__, asyncio.run(measure(asked.rounds)), asked.out, load_before=load_before)


if __name__ == "__main__":
    main()
