"""From start to stop: a run that is resumed, one that is stopped, one that loses its reward, one without our CLI."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from rayreward.cli.jobs import run_stop
from rayreward.jobs.run import REWARD_LOST
from tests.runs.conftest import STEPS, Stage, rewards_of

pytestmark = [
    pytest.mark.ray,
    pytest.mark.openrlhf,
    pytest.mark.runs,
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore"),
]


def test_a_run_is_resumed_from_its_last_checkpoint(stage: Stage) -> None:
    sections: dict[str, Any] = {"reward": {"name": "steady"}, "checkpoint": {"save_steps": 1}}
    first = stage.run(stage.spec("resumed", **sections))
    assert first.state.exit_code == 0, first.log

    sections["checkpoint"] = {"save_steps": 1, "resume": True}
    second = stage.run(stage.spec("resumed", **sections, train={"episodes": 2}))

    assert second.state.exit_code == 0, second.log
    assert [step.step for step in second.steps] == [STEPS + number for number in range(1, STEPS + 1)]


def test_a_run_that_is_stopped_leaves_its_summary(stage: Stage) -> None:
    stopped: list[int] = []

    def stop_after_a_step(line: str) -> None:
        if line.startswith("[rayreward] step 1") and not stopped:
            stopped.append(run_stop(job_id(), address=stage.cluster.dashboard_url))

    def job_id() -> str:
        return next(job.job_id for job in stage.jobs.list_jobs() if job.name == "stopped")

    run = stage.run(stage.spec("stopped", reward={"name": "steady"}, steps=30), during=stop_after_a_step)

    assert stopped == [0]
    assert run.state.status == "STOPPED"
    assert run.summary["exit_code"] == 143
    assert run.summary["stopped_because"] == "the run was stopped by SIGTERM"
    assert run.summary["steps"] >= 1


def test_a_run_whose_reward_is_gone_ends_and_says_why(stage: Stage) -> None:
    from ray import serve

    from rayreward.router.config import ServiceConfig
    from rayreward.serve.app import build_app

    config = ServiceConfig.parse({"rewards": rewards_of("vanishing")}, source="tests")
    serve.run(build_app(config), name="vanishing", route_prefix="/vanishing")
    gone: list[str] = []

    def delete_after_a_step(line: str) -> None:
        if line.startswith("[rayreward] step 1") and not gone:
            serve.delete("vanishing")
            gone.append(line)

    reward = {"name": "steady", "app": "vanishing", "max_unavailable_s": 15.0}
    run = stage.run(stage.spec("vanished", reward=reward, steps=30), during=delete_after_a_step)

    assert gone
    assert run.state.exit_code == REWARD_LOST, run.log
    assert "the reward service has not answered for" in run.summary["stopped_because"]
    assert any("go on from its last checkpoint" in line for line in run.lines)


def test_a_run_without_our_command_line_logs_to_wandb_offline(stage: Stage, tmp_path: Path) -> None:
    spec = stage.spec(
        "plain",
        steps=1,
        reward={"name": "steady"},
        logging={"wandb_project": "tests", "wandb_mode": "offline"},
    )
    file = tmp_path / "plain.yaml"
    file.write_text(yaml.safe_dump(spec.model_dump(mode="json")))
    command = shlex.join([sys.executable, "-m", "rayreward.jobs", "run", str(file), "--service", stage.cluster.url])

    job_id = stage.jobs.submit(command)
    run = stage.follow(spec, job_id)

    assert run.state.exit_code == 0, run.log
    assert [step.step for step in run.steps] == [1]
    [kept] = Path(spec.output_dir).glob("wandb/offline-run-*/*.wandb")
    assert b"reward/digits" in kept.read_bytes()
