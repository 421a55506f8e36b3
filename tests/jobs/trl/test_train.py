"""The job's own command, on CPU, with rewards that a running service gives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rayreward.jobs.openrlhf.progress import StepMetrics, parse_step
from rayreward.jobs.tiny_model import build_tiny_model, write_prompts
from rayreward.jobs.trl.train import CANNOT_BE_FOLLOWED, REWARD_LOST, last_checkpoint, main
from rayreward.testing import ScriptedReward
from rayreward.types import FailureKind, RewardOutput
from tests.jobs.trl.conftest import build_spec
from tests.live import live_service

pytest.importorskip("trl")

pytestmark = [pytest.mark.trl, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and prompts."""
    folder = tmp_path_factory.mktemp("trl")
    build_tiny_model(folder / "model")
    write_prompts(folder / "prompts.jsonl", count=32)
    return folder


@pytest.fixture
def url() -> Iterator[str]:
    with live_service({"scripted": ScriptedReward(default=(0.5, {"format": 1.0}))}) as url:
        yield url


def write_spec(place: Path, **sections: Any) -> Path:
    spec = {
        "kind": "trl",
        "name": "tiny",
        "platform": "cpu",
        "model": {"path": str(place / "model")},
        "data": {"prompts": str(place / "prompts.jsonl"), "label_key": "label", "apply_chat_template": True},
        "rollout": {"batch_size": 4, "n_samples_per_prompt": 4, "max_new_tokens": 8},
        "train": {"steps": 3},
        "reward": {"name": "scripted", "transport": "http", "wait_s": 0},
        "checkpoint": {"output_dir": str(place / "out")},
    } | sections
    path = place / "spec.json"
    path.write_text(json.dumps(spec))
    return path


def steps_of(log: str) -> list[StepMetrics]:
    return [step for line in log.splitlines() if (step := parse_step(line)) is not None]


def test_it_trains_tells_of_each_step_and_saves(place: Path, url: str) -> None:
    command = [sys.executable, "-m", "rayreward.jobs.trl.train", str(write_spec(place)), "--run-id", "tiny-1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "HF_HUB_OFFLINE": "1"}

    done = subprocess.run(
        [*command, "--reward-url", f"{url}/scripted/get_reward?run=tiny-1"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=240,
    )

    assert done.returncode == 0, done.stderr
    steps = steps_of(done.stdout)
    assert [step.step for step in steps] == [1, 2, 3]
    assert all(step.reward == 0.5 and step.sample_count == 16 for step in steps)
    assert all(0 < step.generation_s < step.step_s for step in steps)
    assert steps[0].values["reward/scripted/format"] == 1.0
    assert (place / "out" / "model.safetensors").exists()
    assert httpx.get(f"{url}/v1/runs/tiny-1").json()["scored"]["count"] == 48


def test_a_run_that_was_stopped_goes_on(place: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = {"output_dir": str(place / "stopped"), "save_steps": 1, "resume": True}
    options = ["--run-id", "tiny-2", "--reward-url", f"{url}/v1/rewards/scripted"]

    for planned, done in ((1, [1]), (3, [2, 3])):
        assert main([str(write_spec(place, checkpoint=checkpoint, train={"steps": planned})), *options]) == 0
        assert [step.step for step in steps_of(capsys.readouterr().out)] == done


def test_what_cannot_be_followed_is_said_in_a_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write_spec(place, extra_args={"top_kk": 5})
    assert main([str(spec), "--run-id", "tiny-3", "--reward-url", "http://host"]) == CANNOT_BE_FOLLOWED
    said = capsys.readouterr().err
    assert "extra_args: this TRL's GRPOConfig has no field 'top_kk'; did you mean 'top_k'" in said

    assert main([str(write_spec(place)), "--run-id", "tiny-3"]) == CANNOT_BE_FOLLOWED
    assert "the reward has no address yet" in capsys.readouterr().err


def test_a_reward_that_stays_away_ends_the_training_with_a_code_of_its_own(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = RewardOutput.failed(FailureKind.UNAVAILABLE, "no replica")
    with live_service({"gone": ScriptedReward(default=gone)}) as url:
        reward = {"url": f"{url}/gone/get_reward", "wait_s": 0, "max_unavailable_s": 0.001}
        assert main([str(write_spec(place, reward=reward)), "--run-id", "tiny-4"]) == REWARD_LOST
    assert "has answered nothing for" in capsys.readouterr().err


def test_it_goes_on_from_the_last_checkpoint_that_is_whole(tmp_path: Path) -> None:
    spec = build_spec(checkpoint={"output_dir": str(tmp_path), "resume": True})
    assert last_checkpoint(spec) is None
    for name in ("checkpoint-20", "checkpoint-100"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "trainer_state.json").touch()
    (tmp_path / "checkpoint-120").mkdir()
    assert last_checkpoint(spec) == str(tmp_path / "checkpoint-100")
    assert last_checkpoint(build_spec(checkpoint={"output_dir": str(tmp_path)})) is None
