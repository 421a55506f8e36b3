"""Ends what a training leaves behind on this machine.

What arrives: a run's id, which every process of its training has in its environment. What leaves: none of them. vLLM's
engine is a process of its own, and goes on, with its memory, when Ray kills the actor that started it: seen in every
second training on a CPU, 1.6 GB each.
"""

from __future__ import annotations

import asyncio
import contextlib

import psutil

RUN_VARIABLE = "RAYREWARD_RUN_ID"
"""Marks the processes of a run."""

_END_LIMIT_S = 10.0
"""For a training's actors to end by themselves once their driver has."""

_LOOK_PAUSE_S = 0.5


async def end_orphans(run_id: str) -> int:
    """Wait until the run's processes have ended, and kill those that nobody else will; returns how many."""
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + _END_LIMIT_S
    while (left := await asyncio.to_thread(_processes_of, run_id)) and loop.time() < give_up_s:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK_PAUSE_S)
    killed = 0
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
            killed += 1
    return killed


def _processes_of(run_id: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(RUN_VARIABLE) == run_id:
                found.append(process)
    return found
