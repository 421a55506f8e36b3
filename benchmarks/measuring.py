"""What every benchmark needs: whose CPU seconds, on which machine, medians with their spread, and where results go.

Rounds alternate between what is compared, so that whatever else the machine does falls on all alike. Ratios are taken
within a round; wall time stands beside CPU seconds, because a busy machine falsifies the first more than the second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import ray

IDLE_S = 5.0
"""For how long a cluster's own CPU is watched while nobody asks."""


def arguments(description: str | None, *, rounds: int = 5) -> argparse.Namespace:
    """``--rounds`` and ``--out``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help="alternating rounds; medians are of them")
    parser.add_argument("--out", type=Path, help="a JSON file beside what is printed")
    return parser.parse_args()


def cpu_s_of(processes: Iterable[psutil.Process]) -> float:
    """CPU seconds so far of the processes that live."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def started_processes(*, besides: Iterable[int] = ()) -> list[psutil.Process]:
    """All that this process has started: a cluster's every process."""
    spared = set(besides)
    return [process for process in psutil.Process().children(recursive=True) if process.pid not in spared]


def idle_cores(cpu_s: Callable[[], float]) -> float:
    """What the processes burn while nobody asks, in CPU seconds a second."""
    before_s = cpu_s()
    time.sleep(IDLE_S)
    return (cpu_s() - before_s) / IDLE_S


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def spreads(rounds: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """`spread` of each figure."""
    return {key: spread([one[key] for one in rounds]) for key in rounds[0]}


def target(measured: float, *, at_most: float | None = None, at_least: float | None = None) -> dict[str, Any]:
    """A figure beside what it should be."""
    if at_most is not None:
        return {"measured": measured, "at_most": at_most, "is_met": measured <= at_most}
    assert at_least is not None
    return {"measured": measured, "at_least": at_least, "is_met": measured >= at_least}


def report(method: str | None, result: dict[str, Any], out: Path | None, *, load_before: float) -> None:
    """Print the result with its method and machine; write it where `out` says."""
    text = json.dumps({"method": method, "machine": _machine(load_before), **result}, indent=2)
    print(text)
    if out is not None:
        out.write_text(text + "\n")


def load() -> float:
    """Processes that want a core, over the last minute."""
    return os.getloadavg()[0]


def _machine(load_before: float) -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "ray": ray.__version__,
        "measured_at": datetime.now(UTC).isoformat(timespec="minutes"),
        "load_before": load_before,
        "load_after": load(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
