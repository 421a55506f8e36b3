from __future__ import annotations

from typing import Any

import pytest

from rayreward.errors import ConfigError, RewardLoadError
from rayreward.models.vllm_arguments import engine_arguments

LLAMA = {"architectures": ["LlamaForSequenceClassification"], "model_type": "llama"}


def told(config: dict[str, Any] = LLAMA, *, is_cpu: bool = False, **further: Any) -> dict[str, Any]:
    return engine_arguments(
        "model", config=config, dtype="bfloat16", max_length=4096, max_step_tokens=8192, is_cpu=is_cpu, further=further
    )


def test_what_would_change_scores_is_said_and_not_left_to_defaults() -> None:
    arguments = told()
    assert (arguments["runner"], arguments["convert"]) == ("pooling", "classify")
    assert arguments["hf_overrides"]["num_labels"] == 1
    assert arguments["hf_overrides"]["head_dtype"] == "float32"
    assert (arguments["max_model_len"], arguments["max_num_batched_tokens"]) == (4097, 8192)
    assert arguments["enable_prefix_caching"] is True


@pytest.mark.parametrize(
    ("named", "taken"),
    [
        (["LlamaForSequenceClassification"], "LlamaForSequenceClassification"),
        (["LlamaForCausalLM"], "LlamaForCausalLM"),
        (["RewardModel"], "LlamaForSequenceClassification"),
        ([], "LlamaForSequenceClassification"),
        (None, "LlamaForSequenceClassification"),
    ],
)
def test_an_architecture_that_a_trainer_made_up_is_replaced_by_the_model_types(named: Any, taken: str) -> None:
    assert told({**LLAMA, "architectures": named})["hf_overrides"]["architectures"] == [taken]


@pytest.mark.parametrize("config", [{}, {"architectures": ["RewardModel"], "model_type": "my_own"}])
def test_a_model_that_nobody_knows_is_refused_with_another_way(config: dict[str, Any]) -> None:
    with pytest.raises(RewardLoadError, match="backend='packed'"):
        told(config)


def test_fp8_leaves_the_head_as_it_is() -> None:
    arguments = told(quantization="fp8", tensor_parallel_size=2)
    assert (arguments["quantization"], arguments["quantization_config"]) == ("fp8_per_channel", {"ignore": ["score"]})
    assert arguments["tensor_parallel_size"] == 2


def test_further_arguments_replace_ours_and_overrides_are_added() -> None:
    arguments = told(enable_prefix_caching=False, hf_overrides={"rope_theta": 1e6})
    assert arguments["enable_prefix_caching"] is False
    assert arguments["hf_overrides"] | {"rope_theta": 1e6, "num_labels": 1} == arguments["hf_overrides"]


@pytest.mark.parametrize("name", ["runner", "dtype", "max_model_len", "pooler_config"])
def test_what_is_set_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}.*leave it out"):
        told(**{name: 1})


def test_a_cpu_gets_one_process_little_memory_and_small_blocks() -> None:
    arguments = told(is_cpu=True)
    assert arguments["distributed_executor_backend"] == "uni"
    assert arguments["enforce_eager"] is True
    assert told(is_cpu=True, tensor_parallel_size=2)["distributed_executor_backend"] == "mp"
    assert "distributed_executor_backend" not in told()
