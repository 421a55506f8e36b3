"""What vLLM is told, so that it scores as the plain forward does.

What arrives: a checkpoint's config.json and a few settings. What leaves: keyword arguments for vLLM's
`AsyncEngineArgs`. Plain values: neither torch nor vLLM is imported here.

Four of vLLM's defaults would change scores, or refuse a sound checkpoint, and none of them is left to it: `num_labels`
is 2 where a config does not say; an architecture that a trainer made up is unknown; FP8 would quantise the head, too;
and a request's scores pass through a sigmoid (see `rayreward.models.vllm_backend`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rayreward.errors import ConfigError, RewardLoadError
from rayreward.vllm_engine import cpu_arguments

_QUANTIZATIONS = {"fp8": ("fp8_per_channel", {"ignore": ["score"]})}
"""Our reading of a quantisation: vLLM's name, and its configuration. Weights a channel and activations a token, at
load; the head stays as it is, which vLLM's own "fp8" would quantise with the rest."""

_OURS: Mapping[str, str] = {
    "model": "it is model_path",
    "runner": "reward models are pooled",
    "convert": "reward models are classifiers of one label",
    "dtype": "set dtype itself",
    "max_model_len": "set max_length itself",
    "max_num_batched_tokens": "set max_step_tokens itself",
    "trust_remote_code": "set trust_remote_code itself",
    "skip_tokenizer_init": "token ids are sent",
    "pooler_config": "activation and normalisation are not vLLM's business",
}


def engine_arguments(
    path: str,
    *,
    config: Mapping[str, Any],
    dtype: str,
    max_length: int,
    max_step_tokens: int,
    is_cpu: bool,
    trust_remote_code: bool = False,
    further: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Keyword arguments for ``AsyncEngineArgs``.

    Args:
        path: what vLLM loads.
        config: the checkpoint's config.json.
        dtype: of the trunk; the head is computed in fp32 always.
        max_length: of one unit, in tokens.
        max_step_tokens: of one forward pass.
        is_cpu: whether it is vLLM's CPU build.
        trust_remote_code: whether the checkpoint's own Python may run.
        further: arguments of ``AsyncEngineArgs`` as they are: ``tensor_parallel_size``, ``quantization="fp8"``,
            ``gpu_memory_utilization``, … They replace ours, except those that would change scores.

    Raises:
        ConfigError: a further argument that is set otherwise.
        RewardLoadError: no architecture that vLLM could run.
    """
    for name in further or {}:
        if name in _OURS:
            raise ConfigError(f"vllm={{{name!r}: …}}: {_OURS[name]}; leave it out")
    arguments: dict[str, Any] = {
        "model": path,
        "runner": "pooling",
        "convert": "classify",
        "dtype": dtype,
        "skip_tokenizer_init": True,  # token ids come in; a tokenizer that does not load is no reason to stop
        # vLLM 0.29 keeps a place for a token to come, also where none will: the last token of a unit of exactly this
        # length never has its turn when the unit is computed in several steps, and its caller waits for ever.
        "max_model_len": max_length + 1,
        # Longer prompts are computed in several steps, so this may be less than one unit.
        "max_num_batched_tokens": max_step_tokens,
        "enable_prefix_caching": True,
        "trust_remote_code": trust_remote_code,
        "disable_log_stats": True,
        **(cpu_arguments(tensor_parallel_size=(further or {}).get("tensor_parallel_size", 1)) if is_cpu else {}),
        **(further or {}),
    }
    overrides = {"num_labels": 1, "head_dtype": "float32", "architectures": [_architecture(path, config)]}
    arguments["hf_overrides"] = {**overrides, **arguments.get("hf_overrides", {})}
    if arguments.get("quantization") in _QUANTIZATIONS:
        name, settings = _QUANTIZATIONS[arguments["quantization"]]
        arguments |= {"quantization": name, "quantization_config": arguments.get("quantization_config", settings)}
    return arguments


def _architecture(path: str, config: Mapping[str, Any]) -> str:
    """A class that vLLM has: the config's own, or that of its model type where a trainer wrote one of its own.

    Raises:
        RewardLoadError: neither says what the model is.
    """
    named = str(next(iter(config.get("architectures") or ()), ""))
    if named.endswith(("ForSequenceClassification", "ForCausalLM")):
        return named
    model_type = str(config.get("model_type") or "")
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES as KNOWN

    found = KNOWN.get(model_type)
    if found is None:
        raise RewardLoadError(
            f"{path!r} cannot be run by vLLM: its config.json names the architecture {named or None!r} and the model "
            f"type {model_type or None!r}, for which transformers has no sequence classification. Use backend='packed' "
            f"or 'padded'"
        )
    return str(found)
