"""What does a sample take?"""

from __future__ import annotations

from collections.abc import Sequence

from rayreward.checking.report import Finding, Percentiles, Speed
from rayreward.checking.timed import CPU_S, WALL_S
from rayreward.types import RewardOutput


def measure_speed(timed: Sequence[RewardOutput], *, samples: int, took_s: float) -> Speed | None:
    """From outputs of a `TimedReward`, and from a pass in batches of `samples` that took `took_s`."""
    walls_s = [output.metadata[WALL_S] for output in timed if WALL_S in output.metadata]
    cpus_s = [output.metadata[CPU_S] for output in timed if CPU_S in output.metadata]
    if not walls_s or took_s <= 0:
        return None
    return Speed(_percentiles(walls_s), _percentiles(cpus_s), samples / took_s, len(walls_s))


def judge_speed(speed: Speed | None) -> Finding:
    """A number to know; how slow is too slow depends on the training."""
    if speed is None:
        return Finding("speed", "skipped", "nothing could be measured")
    wall, cpu = speed.wall, speed.cpu
    found = (
        f"p50 {in_words(wall.p50_s)}, p90 {in_words(wall.p90_s)}, p99 {in_words(wall.p99_s)} a sample "
        f"(CPU {in_words(cpu.p50_s)}, {in_words(cpu.p90_s)}, {in_words(cpu.p99_s)}); "
        f"{speed.samples_per_s:,.0f} samples/s from one process"
    )
    return Finding("speed", "ok", found)


def in_words(seconds: float) -> str:
    """For a person.

    Example:
        >>> in_words(0.0000214), in_words(0.0341), in_words(2.5)
        ('21 µs', '34 ms', '2.5 s')
    """
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def _percentiles(values: Sequence[float]) -> Percentiles:
    ranked = sorted(values)
    # The nearest rank: a value that was measured, also of a few.
    p50, p90, p99 = (ranked[min(len(ranked) - 1, int(len(ranked) * share))] for share in (0.5, 0.9, 0.99))
    return Percentiles(p50, p90, p99)
