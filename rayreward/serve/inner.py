"""Rewards that the router answers itself, without a replica.

What arrives: the spec of a reward that is declared ``in_router``. What leaves: a lane whose batches run on the
router's own event loop. A handle call costs milliseconds whatever it carries; a reward of microseconds is not worth
one. Where somebody does not say so a reward has replicas: one that blocks here would hold up all the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from rayreward.batches import OutputBatch
from rayreward.router.coalescer import Send
from rayreward.router.direct import Direct
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import Lane, open_lane
from rayreward.router.lane_policy import LanePolicy, limits_of
from rayreward.router.sizing import USUAL_SAMPLES
from rayreward.sample import Sample
from rayreward.spec import RewardSpec
from rayreward.types import RewardOutput, Timings
from rayreward.workers import Runner, build_runner


async def open_inner_lane(spec: RewardSpec) -> Lane:
    """The lane of a reward in this process, loaded and ready.

    Raises:
        RewardLoadError: it cannot be loaded; the router then fails as a replica would have.
    """
    reward = spec.build()
    runner = build_runner(reward)
    await runner.start()
    send = send_to(runner, time.monotonic)
    # To score costs less here than to look a score up.
    policy = replace(LanePolicy.of(spec), cache_entries=0)
    facts = RewardFacts.of(reward, runner.version)
    limits = limits_of(spec, usual_samples=USUAL_SAMPLES)  # more would hold up the loop for others
    lane = open_lane(send, slot_count=spec.max_ongoing_requests, limits=limits, policy=policy, now=time.monotonic)
    if facts.takes_turns:
        # It is done before it could be waited for, and absent only where the router is.
        lane.coalescer, lane.breaker = Direct(send), None
    if not facts.compares_groups:
        lane.assembly = None  # a replica's facts may change; these do not
    lane.learn(facts)
    return lane


def send_to(runner: Runner, now: Callable[[], float]) -> Send:
    """What a replica does with a batch: score it and stamp the outputs."""

    async def send(batch: list[Sample]) -> Sequence[RewardOutput]:
        started_s = now()
        outputs = await runner.run(batch)
        taken_s = now() - started_s
        timings, version = Timings(0.0, taken_s, taken_s, len(batch)), runner.version
        return OutputBatch([output.stamped(version=version, timings=timings) for output in outputs])

    return send
