from __future__ import annotations

import pickle
from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.models.settings import ModelSettings


def test_settings_are_values_that_travel() -> None:
    settings = ModelSettings("some/model", dtype="bfloat16", vllm={"tensor_parallel_size": 2}, backend="vllm")
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_path": ""}, "model_path must be a folder or a hub name"),
        ({"backend": "fast"}, "backend='fast': known are 'auto', 'packed', 'padded', 'plain', 'vllm'"),
        ({"dtype": "fp8"}, "dtype='fp8': known are 'float32', 'bfloat16', 'float16'"),
        ({"head": "mlp"}, "head='mlp': known are 'auto', 'linear'"),
        ({"quantization": "2bit"}, "quantization='2bit': known are None, '4bit', '8bit'"),
        ({"steps_as_score": "max"}, "steps_as_score='max': known are None, 'min', 'prod', 'last', 'mean'"),
        ({"too_long": "truncate"}, "too_long='truncate': known are 'refuse', 'cut'"),
        ({"appends_eos": "yes"}, "appends_eos='yes': known are 'auto', True and False"),
        ({"max_length": 0}, "max_length=0: give a number of tokens, 1 or more"),
        ({"max_step_tokens": True}, "max_step_tokens=True: give a number of tokens"),
        ({"mean": float("nan")}, "mean=nan: give a finite number"),
        ({"std": 0.0}, "std=0.0: scores are divided by it"),
        ({"trust_remote_code": "false"}, "trust_remote_code='false': known are True and False"),
        ({"normalize": "no"}, "normalize='no': known are True and False"),
        ({"probe": 0}, "probe=0: known are True and False"),
        ({"mean": "0.5"}, "mean='0.5': give a number"),
        ({"std": True}, "std=True: give a number"),
        ({"chat_template": ""}, "chat_template='': give a text, or leave it out"),
        ({"device": 0}, "device=0: give a text, or leave it out"),
        ({"vllm": "fp8"}, "vllm='fp8': give vLLM's arguments by name"),
        ({"mean": 1.0, "normalize": False}, "mean and std are applied by normalize=True"),
        ({"head": "step_tokens", "step_token": "ки"}, "give step_token, good_token and bad_token"),
        ({"good_token": "+"}, "belong to head='step_tokens'"),
        ({"quantization": "4bit", "backend": "vllm"}, "for vLLM give vllm="),
        ({"vllm": {"seed": 1}, "backend": "packed"}, "belongs to backend='vllm', found backend='packed'"),
    ],
)
def test_what_cannot_work_is_refused_with_what_can(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ModelSettings(**{"model_path": "some/model", **options})
    assert message in str(caught.value)


def test_an_unknown_option_is_answered_by_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no option 'max_lenght'; did you mean 'max_length'"):
        ModelSettings.from_options("some/model", max_lenght=3)
