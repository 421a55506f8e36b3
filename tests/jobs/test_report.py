from __future__ import annotations

from rayreward.jobs.openrlhf.progress import StepMetrics, parse_step
from rayreward.jobs.report import RunReport
from rayreward.router.runs import Mean, RunStats


def step(number: int, reward: float) -> StepMetrics:
    found = parse_step(
        f"✨ Global step {number}: {{'rollout/reward_mean': {reward}, 'timing/generation': 3.0, "
        f"'timing/ppo_train': 1.5, 'actor_loss': nan}}"
    )
    assert found is not None
    return found


def counted(samples: int, score: float, timeouts: int, right: float) -> RunStats:
    return RunStats(
        "run",
        sample_count=samples + timeouts,
        scored=Mean(score, samples),
        filled_count=timeouts,
        failure_counts={"timeout": timeouts} if timeouts else {},
        component_failure_counts={"judge": {"error": timeouts}} if timeouts else {},
        components={"right": Mean(right, samples)},
        scored_s=Mean(0.01 * samples, samples),
    )


def test_a_line_says_what_a_step_did_and_what_failed_in_it() -> None:
    report = RunReport("run", 2)

    first = report.add_step(step(1, 0.25), counted(8, 2.0, 0, 4.0))
    second = report.add_step(step(2, 0.5), counted(14, 5.0, 2, 10.0))

    assert first.line == (
        "[rayreward] step 1/2  reward 0.2500  rollout 3.0 s  train 1.5 s  scoring 0.010 s a sample  failed: none"
    )
    assert second.line.endswith(
        "step 2/2  reward 0.5000  rollout 3.0 s  train 1.5 s  scoring 0.010 s a sample  failed: timeout 2"
    )


def test_metrics_are_of_this_step_only_and_hold_no_nan() -> None:
    report = RunReport("run", 2)
    report.add_step(step(1, 0.25), counted(8, 2.0, 0, 4.0))

    metrics = report.add_step(step(2, 0.5), counted(14, 5.0, 2, 10.0)).metrics

    assert metrics["train/rollout/reward_mean"] == 0.5
    assert metrics["reward/right"] == 1.0
    assert metrics["reward/score"] == 0.5
    assert metrics["reward_failures/timeout"] == 2.0
    assert metrics["reward_failures/judge/error"] == 2.0
    assert "train/actor_loss" not in metrics


def test_without_a_router_s_counts_the_trainer_s_own_remain() -> None:
    report = RunReport("run")

    found = report.add_step(step(1, 0.25), None)

    assert found.line == "[rayreward] step 1  reward 0.2500  rollout 3.0 s  train 1.5 s"
    assert found.metrics["train/timing/generation"] == 3.0


def test_a_router_that_could_not_be_asked_once_is_caught_up_with() -> None:
    report = RunReport("run")
    report.add_step(step(1, 0.25), counted(8, 2.0, 0, 4.0))
    report.add_step(step(2, 0.5), None)

    third = report.add_step(step(3, 0.5), counted(24, 8.0, 3, 4.0))

    assert third.failures == {"timeout": 3}


def test_the_summary_counts_failures_apart_from_scores() -> None:
    report = RunReport("run", 2)
    report.add_step(step(1, 0.25), None)
    report.add_step(step(2, 0.5), counted(14, 7.0, 2, 7.0))

    summary = report.summary()

    assert (summary["steps"], summary["reward_first"], summary["reward_last"]) == (2, 0.25, 0.5)
    assert (summary["samples"], summary["scored"], summary["filled_in"]) == (16, 14, 2)
    assert summary["failures"] == {"timeout": 2}
    assert summary["components"] == {"right": 0.5}
