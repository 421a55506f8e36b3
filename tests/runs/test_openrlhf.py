"""Real OpenRLHF trainings on a CPU, each launched as a user would, scored through every transport.

In all of them: the exit code is 0, and the rewards that OpenRLHF logged are the router's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from statistics import fmean
from typing import Any

import pytest

from tests.runs.conftest import HERE, PROMPTS, SAMPLES, STEPS, Run, Stage

pytestmark = [
    pytest.mark.ray,
    pytest.mark.openrlhf,
    pytest.mark.runs,
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore"),
]

PPO = {
    "algorithm": {"estimator": "gae", "kl_coef": 0.01},
    "resources": {"colocate": "all"},
    "train": {"micro_batch_size": 32},
}
FILTERED = {"algorithm": {"estimator": "group_norm", "dynamic_filtering": True}}
AGENT = {
    "agent": {"environment": f"{HERE}/counting.py::Counting", "max_turns": 2, "max_turn_tokens": 12},
    "train": {"micro_batch_size": 32, "async_rollout": True},
}


def rewards_match(run: Run) -> None:
    """The mean that OpenRLHF logged in all is the mean of what the router answered."""
    trained = sum(step.reward * step.sample_count for step in run.steps)
    answered = [record["answered"] for record in run.records]
    assert sum(step.sample_count for step in run.steps) == len(answered)
    assert trained == pytest.approx(sum(answered), rel=1e-4, abs=1e-4)


def finished(run: Run) -> None:
    assert run.state.exit_code == 0, run.log
    assert run.summary["exit_code"] == 0
    if run.spec.name not in ("filtered", "dropped"):  # there, groups that are left out use prompts up
        assert len(run.steps) == STEPS
    assert [step.step for step in run.steps] == list(range(1, len(run.steps) + 1))
    assert all(math.isfinite(step.reward) for step in run.steps)


class TestASteadyReward:
    def test_reinforce_over_http(self, stage: Stage) -> None:
        run = stage.run(stage.spec("reinforce", algorithm={"estimator": "reinforce"}, reward=http("steady")))
        finished(run)
        rewards_match(run)
        for step, at in zip(run.steps, range(0, STEPS * PROMPTS * SAMPLES, PROMPTS * SAMPLES), strict=True):
            answered = [record["answered"] for record in run.records[at : at + PROMPTS * SAMPLES]]
            assert step.reward == pytest.approx(fmean(answered), abs=1e-5)
        assert run.summary["failures"] == {}
        assert run.summary["components"].keys() == {"digits", "length"}

    def test_ppo_with_critic_reference_and_kl(self, stage: Stage) -> None:
        run = stage.run(stage.spec("ppo", reward=http("steady"), **PPO))
        finished(run)
        rewards_match(run)
        assert any("critic" in name for name in run.steps[0].values), run.steps[0].values

    def test_samples_through_ray_know_their_groups(self, stage: Stage) -> None:
        run = stage.run(stage.spec("handle", reward={"name": "steady"}))
        finished(run)
        rewards_match(run)
        assert {len(group) for group in run.groups()} == {SAMPLES}
        assert max(record["batch_samples"] for record in run.records) > 1, "they travelled together"

    def test_a_reward_func_file(self, stage: Stage) -> None:
        run = stage.run(stage.spec("function", reward={"name": "steady", "transport": "reward_func"}))
        finished(run)
        rewards_match(run)

    def test_group_norm_with_dynamic_filtering(self, stage: Stage) -> None:
        run = stage.run(stage.spec("filtered", reward={"name": "steady"}, **FILTERED))
        finished(run)
        kept_groups_match(run)

    def test_agents_in_an_async_training(self, stage: Stage) -> None:
        run = stage.run(stage.spec("agents", reward={"name": "steady"}, **AGENT))
        finished(run)
        rewards_match(run)
        assert run.steps[0].values["turns"] > 1, "some first answers held too few digits"


class TestARewardThatFailsAndDies:
    """One sample in ten raises, hangs or gets NaN, and the reward's replica is killed after the first step."""

    def test_reinforce_over_http(self, stage: Stage) -> None:
        survives(stage, "reinforce-flaky", algorithm={"estimator": "reinforce"}, reward=http("flaky"))

    def test_ppo_with_critic_reference_and_kl(self, stage: Stage) -> None:
        survives(stage, "ppo-flaky", reward=http("flaky"), **PPO)

    def test_samples_through_ray(self, stage: Stage) -> None:
        survives(stage, "handle-flaky", reward={"name": "flaky"})

    def test_agents_whose_world_breaks_too(self, stage: Stage) -> None:
        agent = {**AGENT["agent"], "environment": f"{HERE}/counting.py::Stumbling"}
        run = survives(stage, "agents-flaky", reward={"name": "flaky"}, agent=agent, train=AGENT["train"])
        broken = [record for record in run.records if "the world has ended" in (record["failure_message"] or "")]
        assert broken, "an environment that raises is a failed episode"

    def test_drop_really_drops_the_group(self, stage: Stage) -> None:
        run = survives(
            stage, "dropped", reward={"name": "flaky", "app": "dropping"}, check=kept_groups_match, **FILTERED
        )
        dropped = [group for group in run.groups() if any(record["failure_kind"] for record in group)]
        assert dropped
        assert any(re.search(r"Filtered out: avg_reward=nan", line) for line in run.lines)


def http(name: str) -> dict[str, Any]:
    return {"name": name, "transport": "http"}


def survives(stage: Stage, name: str, *, check: Callable[[Run], None] = rewards_match, **sections: Any) -> Run:
    """Run against the flaky reward and kill its replica after the first step; nothing false may have been learnt."""
    killed: list[str] = []

    def kill_once(line: str) -> None:
        if "Global step 1:" in line and not killed:
            killed.append(kill_replica(sections["reward"].get("app", "rewards"), "flaky"))

    run = stage.run(stage.spec(name, **sections), during=kill_once)
    assert killed, run.log
    finished(run)
    check(run)
    failed = [record for record in run.records if record["failure_kind"] is not None]
    assert {"error", "timeout", "invalid_output"} & {record["failure_kind"] for record in failed}
    assert all(record["score"] is None and math.isfinite(record["answered"]) for record in failed)
    assert all(stand_in_is_neutral(run, record) for record in failed)
    assert run.summary["failures"] == counts(failed)
    assert run.summary["filled_in"] == len(failed)
    return run


def stand_in_is_neutral(run: Run, record: dict[str, Any]) -> bool:
    """Whether a failed sample's number is a mean of scores: its siblings', or the run's where it had none.

    Over HTTP nobody says how many siblings there are: those that were generated later are not in that mean.
    """
    group = next(group for group in run.groups() if record in group)
    scored = [sibling["score"] for sibling in group if sibling["score"] is not None]
    if scored and record["group_id"] is not None:
        return math.isclose(record["answered"], fmean(scored), abs_tol=1e-6)
    known = scored or [other["score"] for other in run.records if other["score"] is not None]
    return min(known) - 1e-9 <= record["answered"] <= max(known) + 1e-9


def counts(failed: list[dict[str, Any]]) -> dict[str, int]:
    kinds = [record["failure_kind"] for record in failed]
    return {kind: kinds.count(kind) for kind in set(kinds)}


def kept_groups_match(run: Run) -> None:
    """OpenRLHF learnt from the groups that its filter let through, from all of their samples and from no other."""
    kept = [group for group in run.groups() if passes(group)]
    assert sum(step.sample_count for step in run.steps) == SAMPLES * len(kept)
    trained = sum(step.reward * step.sample_count for step in run.steps)
    assert trained == pytest.approx(sum(record["answered"] for group in kept for record in group), abs=1e-4)


def passes(group: list[dict[str, Any]]) -> bool:
    return (
        all(record["failure_kind"] is None for record in group) and 0 < fmean(record["score"] for record in group) < 1
    )


def kill_replica(app: str, reward: str) -> str:
    import ray

    actors = ray.util.list_named_actors(all_namespaces=True)
    [replica] = [actor for actor in actors if actor["name"].startswith(f"SERVE_REPLICA::{app}#{reward}#")]
    ray.kill(ray.get_actor(replica["name"], namespace=replica["namespace"]), no_restart=True)
    return str(replica["name"])
