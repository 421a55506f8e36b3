"""What the router keeps knowing of its rewards without sending them a sample.

What arrives: lanes and handles. What leaves: the rewards' facts, how many replicas run, whether a lost one is back;
and to the replicas, what is wished for. A reward that may sleep is not woken by any of it, unless somebody waits for it
or wishes for replicas.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from rayreward.router.lane import Lane
from rayreward.serve.calls import call_handle

_PROBE_PAUSE_S = 1.0
"""Between looks at whether a reward must be asked what it is: it is still starting, was replaced, or was lost; and
between two tellings of what is wished for."""

_LOOK_PAUSE_S = 10.0
"""Between looks at a reward that answers: for so long a new configuration may be served, or refused, unsaid. A look is
a call, of milliseconds."""

_COUNT_PAUSE_S = 2.0
"""Between two questions to Serve of how many replicas run. Each costs this process 7 ms and the controller others; a
longer pause leaves a new replica without work for longer."""


async def keep_known(lane: Lane, handle: Any) -> None:
    """Learn what the reward is as soon as a replica answers, and again when one answers as another version.

    It also probes where the breaker is half open: a service that says it is unhealthy is sent no samples to find out.
    And it repeats what is wished for, which wakes a reward that sleeps: Serve starts the first replica for the call.
    One that never sleeps is looked at now and then: given another configuration it may have refused it, or answer
    nobody, because all that is asked is known.
    """
    looked_s = time.monotonic()
    while True:
        is_probe = lane.wants_probe
        is_due = not lane.can_sleep and time.monotonic() - looked_s >= _LOOK_PAUSE_S
        if is_probe or is_due or (lane.needs_facts and lane.may_be_asked) or lane.has_news:
            looked_s = time.monotonic()
            lane.wishes.is_news = False  # a newer wish, made while the call is under way, is news again
            try:
                lane.learn(await call_handle(handle, "probe", lane.backlog(time.time())))
                lane.note_probe(is_probe, was_there=True)
            except Exception:  # noqa: BLE001 - a replica that fails to start is retried by Serve; /ready says so
                lane.note_probe(is_probe, was_there=False)
            await asyncio.sleep(_PROBE_PAUSE_S)
        else:
            await lane.wait_until_wanted(_PROBE_PAUSE_S)


async def keep_counted(lanes: Mapping[str, Lane]) -> None:
    """Know how many replicas of each reward run, by Serve's own status."""
    from ray import serve

    app = serve.get_replica_context().app_name
    while True:
        try:
            found = (await asyncio.to_thread(serve.status)).applications[app].deployments
            for name, deployment in found.items():
                if name in lanes:
                    lanes[name].note_replicas(_running(deployment.replica_states))
        except Exception:  # noqa: BLE001 - the controller restarts, or the application is still being made
            for lane in lanes.values():
                lane.note_replicas(None)
        await asyncio.sleep(_COUNT_PAUSE_S)


def _running(states: Mapping[Any, int]) -> int:
    return sum(count for state, count in states.items() if str(getattr(state, "value", state)) == "RUNNING")
