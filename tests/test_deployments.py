"""The shipped deployments: each is a service that starts, with a GPU and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rayreward.errors import ConfigError
from rayreward.rewards import CompositeReward, LLMJudge, RewardModel
from rayreward.router.config import ServiceConfig, read_service_config
from rayreward.serve import build

FOLDER = Path(__file__).parents[1] / "deployments"
WITH_MODEL = ["reward_model.yaml", "reward_model_vllm.yaml", "composite.yaml"]
ON_CPU = {"RAYREWARD_GPUS": "0", "RAYREWARD_DTYPE": "float32"}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAYREWARD_GPUS", "RAYREWARD_DTYPE", "RAYREWARD_REPLICAS", "RAYREWARD_PARALLEL", "JUDGE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAYREWARD_MODEL", "some/model")
    monkeypatch.setenv("JUDGE_MODEL", "some-judge")


def config_of(name: str) -> ServiceConfig:
    return read_service_config(FOLDER / name)


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yaml")), ids=lambda file: file.stem)
def test_each_is_a_service(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER.parent)
    assert read_service_config(file).rewards


@pytest.mark.parametrize("name", WITH_MODEL)
def test_a_model_takes_a_gpu_a_share_of_one_or_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    [spec] = config_of(name).rewards
    assert spec.ray_actor_options["num_gpus"] == 1
    assert spec.keeps_prompts_together
    monkeypatch.setenv("RAYREWARD_GPUS", "0.5")
    assert config_of(name).rewards[0].ray_actor_options["num_gpus"] == 0.5
    for variable, value in ON_CPU.items():
        monkeypatch.setenv(variable, value)
    [spec] = config_of(name).rewards
    assert spec.ray_actor_options["num_gpus"] == 0


@pytest.mark.parametrize("name", WITH_MODEL)
def test_a_model_that_nobody_names_is_asked_for(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAYREWARD_MODEL")
    with pytest.raises(ConfigError, match=r"model_path: the environment variable RAYREWARD_MODEL is not set"):
        config_of(name)


def test_on_a_cluster_that_lacks_it_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAYREWARD_MODEL")
    args = yaml.safe_load((FOLDER / "reward_model.yaml").read_text())["applications"][0]["args"]
    with pytest.raises(ConfigError, match=r"RAYREWARD_MODEL is not set.*on the cluster.*`rayreward serve FILE`"):
        build(args)


def test_settings_reach_the_model() -> None:
    model = config_of("reward_model.yaml").rewards[0].build()
    assert isinstance(model, RewardModel)
    assert (model.model_path, model.settings.dtype, model.settings.max_step_tokens) == ("some/model", "bfloat16", 16384)
    on_vllm = config_of("reward_model_vllm.yaml").rewards[0].build()
    assert isinstance(on_vllm, RewardModel)
    assert (on_vllm.settings.backend, on_vllm.settings.vllm) == ("vllm", {"tensor_parallel_size": 1})


def test_the_composite_asks_cheap_checks_before_model_and_judge() -> None:
    gate = config_of("composite.yaml").rewards[0].build()
    assert isinstance(gate, CompositeReward)
    assert gate.rule.method == "gate"
    assert [part.name for part in gate.parts] == ["form", "rules", "quality"]
    quality = gate.rewards["quality"]
    assert isinstance(quality, CompositeReward)
    assert isinstance(quality.rewards["model"], RewardModel)
    assert isinstance(quality.rewards["judge"], LLMJudge)
    stopped = gate(prompt="p", response="As an AI language model I have no opinion.")
    assert (stopped.score, stopped.metadata["skipped_components"]) == (-5.0, ["quality"])


def test_serve_reads_the_environment_where_it_builds_the_application() -> None:
    args: dict[str, Any] = yaml.safe_load((FOLDER / "reward_model.yaml").read_text())["applications"][0]["args"]
    assert build(args) is not None
