from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.trl.arguments import grpo_arguments
from rayreward.jobs.trl.names import SET_BY_SPEC
from rayreward.jobs.trl.spec import TrlSpec
from rayreward.strict import read_yaml
from tests.jobs.trl.conftest import build_spec

RECIPE = Path(__file__).parents[3] / "jobs" / "trl_grpo.yaml"


def test_three_keys_are_enough() -> None:
    spec = build_spec()
    assert (spec.transport, spec.gpus, spec.dtype, spec.output_dir) == ("handle", 1, "bf16", "./runs/test")
    assert spec.uses_local_files_only
    assert build_spec(platform="cpu").dtype == "fp32"
    assert build_spec(reward={"url": "http://host/math/get_reward"}).transport == "http"


@pytest.mark.parametrize(
    ("sections", "mistake"),
    [
        ({"rollouts": {}}, "unknown key 'rollouts'; .*rollout"),
        ({"rollout": {"n_samples_per_prompt": 1}}, "greater than or equal to 2"),
        ({"rollout": {"batch_size": 3}, "train": {"micro_batch_size": 7}}, "24 samples .* portions of 7"),
        ({"resources": {"gpus": 0}}, "set platform: cpu"),
        ({"platform": "cpu", "rollout": {"vllm": "colocate"}}, "shares GPUs with the training"),
        ({"reward": {"transport": "agent"}}, "transport is agent, which is OpenRLHF's: use http or handle"),
        ({"reward": {"url": ["http://a", "http://b"]}}, "keep one"),
        ({"extra_args": {"beta": 0.1}}, "extra_args.beta is set by the key algorithm.kl_coef"),
    ],
)
def test_what_cannot_be_is_refused_with_the_way_out(sections: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ConfigError, match=mistake):
        build_spec(**sections)


def test_local_paths_become_absolute_and_hub_names_stay(tmp_path: Path) -> None:
    spec = build_spec(model={"path": "Qwen/Qwen2.5-0.5B"}, data={"prompts": "./p.jsonl"}).resolved(tmp_path)
    assert spec.model.path == "Qwen/Qwen2.5-0.5B"
    assert spec.data.prompts == str(tmp_path / "p.jsonl")
    assert spec.output_dir == str(tmp_path / "runs" / "test")


@pytest.mark.parametrize(
    ("sections", "prompt_count", "steps"),
    [
        ({"train": {"steps": 7}}, None, 7),
        ({}, None, None),
        ({}, 64, 4),
        ({"data": {"prompts": "/p.jsonl", "max_samples": 40}, "train": {"epochs": 2}}, 64, 4),
        ({"algorithm": {"iterations": 2}}, 64, 8),
    ],
)
def test_the_steps_are_known_where_the_prompts_are(sections: Any, prompt_count: int | None, steps: int | None) -> None:
    assert build_spec(**sections).planned_steps(prompt_count=prompt_count) == steps


def test_a_step_learns_once_from_all_that_it_generates() -> None:
    spec = build_spec(rollout={"batch_size": 4, "n_samples_per_prompt": 8}, resources={"gpus": 2})
    found = grpo_arguments(spec)
    assert found["per_device_train_batch_size"] * found["gradient_accumulation_steps"] * spec.process_count == 32


def test_extra_args_may_set_every_field_that_no_key_sets() -> None:
    spec = build_spec(extra_args={"top_k": 50}, rollout={"vllm": "colocate"}, checkpoint={"save_steps": 5})
    found = grpo_arguments(spec)
    assert found["top_k"] == 50
    assert found.keys() - {"top_k"} <= SET_BY_SPEC.keys()


@pytest.mark.trl
@pytest.mark.filterwarnings("ignore")
def test_every_field_is_one_of_the_installed_trl() -> None:
    trl = pytest.importorskip("trl")
    assert SET_BY_SPEC.keys() <= trl.GRPOConfig.__dataclass_fields__.keys()


def test_the_recipe_is_a_spec() -> None:
    spec = TrlSpec.parse(read_yaml(RECIPE), source=str(RECIPE))
    assert spec.transport == "http"
    assert spec.planned_steps() == 500
