"""verl's own loader, reward loop and reward managers score through a running service."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rayreward.jobs.tiny_model import build_tiny_model
from rayreward.testing import ScriptedReward
from tests.live import live_service

pytestmark = [pytest.mark.verl, pytest.mark.filterwarnings("ignore")]

SCRIPT = {"good": (1.0, {"format": 1.0}), "fair": (0.5, {"format": 0.5}), "bad": ValueError("no")}


class PromptedReward(ScriptedReward):
    """Says in a component whether it was told the prompt."""

    def compute_reward(self, trajectory: Any) -> Any:
        score, components = super().compute_reward(trajectory)
        return score, components | {"prompted": float(trajectory.prompt.endswith("= ?"))}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    build_tiny_model(folder)
    return folder


def score(verl: Path, model: Path, *ways: str) -> Any:
    """What a process with that verl makes of the batch."""
    rewards = {"other": ScriptedReward(default=9.0), "scripted": PromptedReward(SCRIPT)}
    environment = {
        **os.environ,
        "PYTHONPATH": f"{verl}:{Path(__file__).parents[3]}",
        "OMP_NUM_THREADS": "2",
        "HF_HUB_OFFLINE": "1",
    }
    with live_service(rewards) as url:
        command = [sys.executable, "-m", "tests.trainers.real_verl.score", url, str(model), *ways]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def found(verl: Path, model: Path) -> Any:
    return score(verl, model, "async_function", "function", "batch", "manager")


def check(found: Any) -> None:
    """Both of the first prompt are scored; of the second, one fails and gets its sibling's score."""
    infos = found["infos"]
    assert found["scores"] == [1.0, 0.5, 1.0, 1.0]
    assert set(infos) == {"score", "reward_valid", "reward_failure", "reward/format", "reward/prompted"}
    assert infos["score"] == pytest.approx(found["scores"])
    assert infos["reward_valid"] == [1.0, 1.0, 0.0, 1.0]
    assert infos["reward_failure"] == ["", "", "error", ""]
    assert infos["reward/format"][:2] == [1.0, 0.5]
    assert found["validation"]["reward_valid"] == 0.75
    if found["version"] >= "0.9.1":
        assert infos["reward/format"][2] is None
        assert found["validation"]["reward/format"] == 0.75  # over the prompts that have all their values
    else:
        assert math.isnan(infos["reward/format"][2])


@pytest.mark.parametrize("how", ["async_function", "function", "batch"])
def test_the_reward_function_scores_in_verls_own_loop(found: Any, how: str) -> None:
    check(found[how])


def test_the_reward_manager_hands_the_prompt_over_and_fills_by_the_siblings(found: Any) -> None:
    check(found["manager"])
    assert found["manager"]["infos"]["reward/prompted"][0] == 1.0
    assert found["function"]["infos"]["reward/prompted"][0] == 0.0


@pytest.mark.ray
def test_the_reward_manager_works_in_verls_ray_actors(verl: Path, model: Path) -> None:
    check(score(verl, model, "cluster")["cluster"])
