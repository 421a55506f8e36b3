from __future__ import annotations

from rayreward import RewardOutput
from rayreward.checking.determinism import judge_determinism

ONES, ZEROS = [RewardOutput(1.0)] * 2, [RewardOutput(0.0)] * 2
NAMES = ("line 1", "line 2")


def test_the_same_everywhere_is_deterministic() -> None:
    assert judge_determinism(ONES, ONES, ONES, NAMES).level == "ok"
    assert "another" not in judge_determinism(ONES, ONES, None, NAMES).found


def test_a_second_pass_that_differs_is_wrong() -> None:
    finding = judge_determinism(ONES, ZEROS, ONES, NAMES)
    assert (finding.level, finding.found) == ("wrong", "2 of 2 scores changed; line 1: 1, then 0")


def test_so_is_another_process_that_differs() -> None:
    finding = judge_determinism(ONES, ONES, ZEROS, NAMES)
    assert finding.level == "wrong"
    assert finding.found.startswith("in another process 2 of 2")
