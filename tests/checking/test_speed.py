from __future__ import annotations

from rayreward import RewardOutput
from rayreward.checking.speed import judge_speed, measure_speed
from rayreward.checking.timed import CPU_S, WALL_S


def test_percentiles_are_of_what_was_measured() -> None:
    timed = [RewardOutput(1.0, metadata={WALL_S: n / 1000, CPU_S: n / 2000}) for n in range(1, 101)]
    speed = measure_speed(timed, samples=100, took_s=0.5)
    assert speed is not None
    assert (speed.wall.p50_s, speed.wall.p90_s, speed.wall.p99_s) == (0.051, 0.091, 0.1)
    assert speed.cpu.p99_s == 0.05
    assert judge_speed(speed).found == (
        "p50 51 ms, p90 91 ms, p99 100 ms a sample (CPU 26 ms, 46 ms, 50 ms); 200 samples/s from one process"
    )


def test_what_was_not_measured_is_not_made_up() -> None:
    assert measure_speed([RewardOutput()], samples=1, took_s=1.0) is None
    assert judge_speed(None).level == "skipped"
