from __future__ import annotations

import pytest

from rayreward import FailureKind, RewardOutput
from rayreward.checking.sameness import describe_difference, differences, is_same
from rayreward.checking.subject import NOT_TRIED

ERROR = RewardOutput.failed(FailureKind.ERROR, "one")
OTHER_ERROR = RewardOutput.failed(FailureKind.ERROR, "two")
TIMEOUT = RewardOutput.failed(FailureKind.TIMEOUT, "")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (RewardOutput(1.0), RewardOutput(1.0 + 1e-9), True),
        (RewardOutput(1.0), RewardOutput(1.001), False),
        (RewardOutput(0.0), RewardOutput(1e-9), True),
        (RewardOutput(0.0), ERROR, False),
        (ERROR, OTHER_ERROR, True),
        (ERROR, TIMEOUT, False),
        (RewardOutput(0.0), NOT_TRIED, True),
    ],
)
def test_same_is_the_same_score_or_the_same_kind_of_failure(one: RewardOutput, other: RewardOutput, same: bool) -> None:
    assert is_same(one, other) is same


def test_the_worst_difference_is_told_by_name() -> None:
    first = [RewardOutput(1.0), RewardOutput(0.0), RewardOutput(0.0)]
    second = [RewardOutput(0.9), RewardOutput(1.0), RewardOutput(0.0)]
    changed = differences(first, second)
    told = describe_difference(first, second, changed, ["line 1", "line 2", "line 3"])
    assert told == "2 of 3 scores changed; line 2: 0, then 1"
    assert "no score (timeout)" in describe_difference([TIMEOUT], [first[0]], [0], ["line 1"])
