from __future__ import annotations

from rayreward.router.comparison import Comparing, ShadowComparison
from rayreward.types import FailureKind, RewardOutput


def test_nothing_compared_has_no_means() -> None:
    assert Comparing().comparison == ShadowComparison()


def test_a_failure_is_counted_by_kind_and_in_no_mean() -> None:
    comparing = Comparing()
    comparing.add(1.0, RewardOutput(0.0, version="v2"))
    comparing.add(1.0, RewardOutput(1.0, version="v2"))
    comparing.add(1.0, RewardOutput.failed(FailureKind.TIMEOUT, "slow"))
    comparing.drop(3)
    assert comparing.comparison == ShadowComparison("v2", 2, 0.5, 0.5, {"timeout": 1}, 3)


def test_another_version_is_compared_from_the_start() -> None:
    comparing = Comparing()
    comparing.add(1.0, RewardOutput(0.0, version="v2"))
    comparing.add(1.0, RewardOutput(1.0, version="v3"))
    assert comparing.comparison == ShadowComparison("v3", 1, 0.0, 1.0)


def test_what_failed_before_the_first_score_is_that_versions_too() -> None:
    comparing = Comparing()
    comparing.add(1.0, RewardOutput.failed(FailureKind.UNAVAILABLE, "starting"))
    comparing.add(1.0, RewardOutput(1.0, version="v2"))
    assert comparing.comparison == ShadowComparison("v2", 1, 0.0, 1.0, {"unavailable": 1})
