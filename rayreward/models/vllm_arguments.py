"""What vLLM is told, so that it scores as the plain forward does.

What arrives: a checkpoint's config.json and a few options. What leaves: keyword arguments for vLLM's `AsyncEngineArgs`,
and the environment that its CPU build needs. Plain values: neither torch nor vLLM is imported here.

Four of vLLM's defaults would change scores, or refuse a sound checkpoint, and none of them is left to it: `num_labels`
is 2 where a config does not say; an architecture that a trainer made up is unknown; FP8 would quantise the head, too;
and a request's scores pass through a sigmoid (see `rayreward.models.vllm_backend`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rayreward.errors import ConfigError, RewardLoadError

_GIB = 2**30
_CPU_CACHE_BYTES = _GIB
"""Of keys and values on a CPU, where vLLM else takes a share of all memory. It bounds what prefixes can be kept."""

_CPU_BLOCK_TOKENS = 32
"""Granularity of shared prefixes on a CPU: vLLM's own default there, 128, shares nothing of a short prompt."""

CPU_ENVIRONMENT: Mapping[str, str] = {
    "TORCH_COMPILE_DISABLE": "1",  # else a first step compiles with g++, where there is one
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # one process an engine instead of two that spin on shared memory
}
"""What vLLM's CPU build reads from the environment only. Set before it is imported, where nobody has set it."""

QUIET_ENVIRONMENT: Mapping[str, str] = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1"}

_QUANTIZATIONS = {"fp8": "fp8_per_channel"}
"""Our names for vLLM's: weights a channel, activations a token, quantised at load. The head stays as it is."""


@dataclass(frozen=True, slots=True)
class VllmOptions:
    """How vLLM uses the device.

    Args:
        tensor_parallel: devices that share one copy of the model.
        quantization: "fp8", or None for the dtype's own weights. Scores are then no longer those of the plain forward
            within the gates of `rayreward.models.golden`, and the probe says by how much.
        gpu_memory_utilization: share of the device's memory for weights and cache together, above 0 and up to 1.
        prefix_caching: whether the prompt of siblings is computed once, also over calls.
        enforce_eager: no CUDA graphs and no compilation; None for what fits the device.

    Raises:
        ConfigError: an option that cannot be.
    """

    tensor_parallel: int = 1
    quantization: str | None = None
    gpu_memory_utilization: float = 0.9
    prefix_caching: bool = True
    enforce_eager: bool | None = None

    def __post_init__(self) -> None:
        if self.tensor_parallel < 1:
            raise ConfigError(f"tensor_parallel={self.tensor_parallel}: at least one device is needed")
        if self.quantization is not None and self.quantization not in _QUANTIZATIONS:
            raise ConfigError(f"quantization={self.quantization!r}: the vLLM backend knows 'fp8', or None")
        if not 0 < self.gpu_memory_utilization <= 1:
            raise ConfigError(
                f"gpu_memory_utilization={self.gpu_memory_utilization}: a share above 0 and up to 1 is needed"
            )


def engine_arguments(
    path: str,
    options: VllmOptions,
    *,
    config: Mapping[str, Any],
    dtype: str,
    max_length: int,
    max_step_tokens: int,
    is_cpu: bool,
    trust_remote_code: bool = False,
) -> dict[str, Any]:
    """Keyword arguments for ``AsyncEngineArgs``.

    Args:
        path: what vLLM loads.
        options: how it uses the device.
        config: the checkpoint's config.json.
        dtype: of the trunk; the head is computed in fp32 always.
        max_length: of one unit, in tokens.
        max_step_tokens: of one forward pass.
        is_cpu: whether it is vLLM's CPU build.
        trust_remote_code: whether the checkpoint's own Python may run.

    Raises:
        RewardLoadError: no architecture that vLLM could run.
    """
    arguments: dict[str, Any] = {
        "model": path,
        "runner": "pooling",
        "convert": "classify",
        "dtype": dtype,
        "skip_tokenizer_init": True,  # token ids come in; a tokenizer that does not load is no reason to stop
        "max_model_len": max_length,
        # Longer prompts are computed in several steps, so this may be less than one unit.
        "max_num_batched_tokens": max_step_tokens,
        "tensor_parallel_size": options.tensor_parallel,
        "gpu_memory_utilization": options.gpu_memory_utilization,
        "enable_prefix_caching": options.prefix_caching,
        "trust_remote_code": trust_remote_code,
        "disable_log_stats": True,
        "hf_overrides": {"num_labels": 1, "head_dtype": "float32", "architectures": [_architecture(path, config)]},
    }
    if options.quantization is not None:
        arguments |= {"quantization": _QUANTIZATIONS[options.quantization], "quantization_config": {"ignore": ["score"]}}
    eager = is_cpu if options.enforce_eager is None else options.enforce_eager
    arguments["enforce_eager"] = eager
    if is_cpu:
        arguments |= {
            "kv_cache_memory_bytes": _CPU_CACHE_BYTES,
            "block_size": _CPU_BLOCK_TOKENS,
            "distributed_executor_backend": "uni" if options.tensor_parallel == 1 else "mp",
        }
    return arguments


def _architecture(path: str, config: Mapping[str, Any]) -> str:
    """A class that vLLM has: the config's own, or that of its model type where a trainer wrote one of its own.

    Raises:
        RewardLoadError: neither says what the model is.
    """
    named = next(iter(config.get("architectures") or ()), "")
    if named.endswith(("ForSequenceClassification", "ForCausalLM")):
        return str(named)
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
