from __future__ import annotations

from rayreward.router.runs import Mean, RunTally
from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardOutput, Timings

LATE = RewardOutput.failed(FailureKind.TIMEOUT, "slow")


def test_a_failed_sample_is_counted_and_in_no_mean() -> None:
    tally = RunTally()
    tally.add("ppo", RewardOutput(1.0, {"right": 1.0}, timings=Timings(0.5, 0.25)), is_filled=False)
    tally.add("ppo", RewardOutput(0.0, {"right": 0.0}, timings=Timings(0.5, 0.75)), is_filled=False)
    tally.add("ppo", LATE, is_filled=True)

    stats = tally.stats("ppo", now_s=0.0)

    assert (stats.sample_count, stats.filled_count) == (3, 1)
    assert stats.scored == Mean(1.0, 2)
    assert dict(stats.components) == {"right": Mean(1.0, 2)}
    assert dict(stats.failure_counts) == {"timeout": 1}
    assert stats.scored_s.since(Mean()) == 0.5


def test_components_fail_by_name_and_kind() -> None:
    tally = RunTally()
    broken = MetricRewardOutput(failure=Failure(FailureKind.ERROR, "no"))
    tally.add("ppo", RewardOutput(1.0, {"right": 1.0, "judge": broken}), is_filled=False)

    stats = tally.stats("ppo", now_s=0.0)

    assert stats.component_failure_counts == {"judge": {"error": 1}}
    assert dict(stats.components) == {"right": Mean(1.0, 1)}


def test_runs_are_apart_and_one_that_asked_for_nothing_is_all_zero() -> None:
    tally = RunTally()
    tally.add("a", RewardOutput(1.0), is_filled=False)

    assert tally.stats("b", now_s=0.0).sample_count == 0
    assert tally.stats("a", now_s=0.0).sample_count == 1


def test_the_time_without_an_answer_begins_with_the_first_loss_and_ends_with_a_score() -> None:
    tally = RunTally()
    tally.note_unavailable("ppo", now_s=10.0)
    tally.note_unavailable("ppo", now_s=20.0)
    assert tally.stats("ppo", now_s=30.0).unavailable_s == 20.0

    tally.add("ppo", RewardOutput(1.0), is_filled=False)
    assert tally.stats("ppo", now_s=40.0).unavailable_s == 0.0


def test_names_from_the_network_cannot_fill_the_memory() -> None:
    tally = RunTally()
    for number in range(1_500):
        tally.add(f"run-{number}", RewardOutput(1.0), is_filled=False)
    tally.add("many", RewardOutput(1.0, {f"c{number}": 1.0 for number in range(500)}), is_filled=False)

    assert tally.stats("run-0", now_s=0.0).sample_count == 0
    assert tally.stats("run-1499", now_s=0.0).sample_count == 1
    assert len(tally.stats("many", now_s=0.0).components) == 200


def test_the_mean_of_a_stretch_in_which_nothing_came_is_none() -> None:
    assert Mean(1.0, 1).since(Mean(1.0, 1)) is None
