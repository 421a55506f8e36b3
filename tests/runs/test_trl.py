"""A real TRL training on a CPU, launched like any other."""

from __future__ import annotations

import pytest

from rayreward.jobs.launch import make_plan, submit
from rayreward.jobs.preflight import preflight
from rayreward.jobs.trl.spec import TrlSpec
from tests.runs.conftest import PROMPTS, SAMPLES, Stage

pytestmark = [
    pytest.mark.ray,
    pytest.mark.trl,
    pytest.mark.runs,
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore"),
]


def test_a_grpo_training_asks_the_router_through_ray_and_names_its_steps(stage: Stage) -> None:
    data = {
        "kind": "trl",
        "name": "grpo",
        "platform": "cpu",
        "model": {"path": str(stage.folder / "model")},
        "data": {"prompts": str(stage.folder / "prompts.jsonl"), "label_key": "label", "apply_chat_template": True},
        "rollout": {"batch_size": PROMPTS, "n_samples_per_prompt": SAMPLES, "max_new_tokens": 16},
        "train": {"steps": 3, "micro_batch_size": 32},
        "reward": {"name": "flaky", "app": "rewards"},
        "checkpoint": {"output_dir": str(stage.folder / "grpo")},
    }
    plan = make_plan(TrlSpec.parse(data, source="tests"), service_url=stage.cluster.url)
    preflight(plan.spec, plan.job, dashboard_url=stage.cluster.dashboard_url)

    run = stage.follow(plan.spec, submit(plan, stage.jobs, ray_address=stage.cluster.address))

    assert run.state.exit_code == 0, run.log
    assert [step.step for step in run.steps] == [1, 2, 3]
    assert {record["step"] for record in run.records} == {1, 2, 3}
    assert {len(group) for group in run.groups()} == {SAMPLES}
    failed = [record for record in run.records if record["score"] is None]
    assert failed
    assert all(record["answered"] is None for record in failed), "TRL is told None, which it leaves out"
    assert run.summary["samples"] == 3 * PROMPTS * SAMPLES
    assert sum(run.summary["failures"].values()) == len(failed)
