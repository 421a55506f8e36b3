"""The CPU profile: a real OpenRLHF training on a machine without a GPU.

What arrives: a spec with ``platform: cpu``. What leaves: the same spec with the settings that a CPU needs, and the
environment of the job's processes, whose ``PYTHONPATH`` leads to `cpu_sources` and so adapts openrlhf at import.
What it promises: an option that cannot work on a CPU is refused here, with what to do, and not after minutes of
start-up. What it does not do: make a useful model trainable; it is for demos, tests and laptops.

The cluster has to pretend to have GPUs (``ray start --num-gpus=4``): OpenRLHF asks for one for each of its actors.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rayreward import vllm_engine
from rayreward.errors import ConfigError

if TYPE_CHECKING:
    from rayreward.jobs.openrlhf.spec import OpenRLHFSpec

SUPPORTED_OPENRLHF = "0.11.2"
"""The version whose sources `cpu_sources` knows; any other is refused, because its lines may mean something else."""

CPU_SITE = Path(__file__).parent / "cpu_site"

CPU_ENV: dict[str, str] = {
    "DS_ACCELERATOR": "cpu",  # DeepSpeed talks gloo, also where a CUDA build of torch is installed
    "GLOO_SOCKET_IFNAME": "lo",  # one machine: the host's name need not resolve
    **vllm_engine.ENVIRONMENT,
    **vllm_engine.CPU_ENVIRONMENT,
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB an engine; else vLLM takes a share of all memory (0.95 under OpenRLHF)
}

OFFLINE_ENV: dict[str, str] = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
"""Set where model and prompts are files: a hub that cannot be reached would cost minutes of retries."""


def fit_to_cpu(spec: OpenRLHFSpec) -> OpenRLHFSpec:
    """The spec with the only settings that run on a CPU.

    Raises:
        ConfigError: one line for each key that a CPU cannot follow.
    """
    mistakes = [f"{spec.name}: {line}" for line in _impossible_on_cpu(spec)]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    # gloo also keeps OpenRLHF away from CUDA IPC (ppo_actor.py: use_cuda_ipc = sync_backend == "nccl" and …).
    vllm = spec.resources.vllm.model_copy(update={"sync_backend": "gloo", "enforce_eager": True})
    attention = spec.model.attn_implementation or "eager"
    return spec.model_copy(
        update={
            "resources": spec.resources.model_copy(update={"vllm": vllm}),
            "model": spec.model.model_copy(update={"attn_implementation": attention}),
        }
    )


def build_cpu_env(spec: OpenRLHFSpec) -> dict[str, str]:
    """The environment of the job's processes; the spec's own variables win, and its PYTHONPATH is kept."""
    env = CPU_ENV | (OFFLINE_ENV if spec.uses_local_files_only else {}) | spec.env_vars
    paths = [str(CPU_SITE), spec.env_vars.get("PYTHONPATH", "")]
    return env | {"PYTHONPATH": os.pathsep.join(path for path in paths if path)}


def _impossible_on_cpu(spec: OpenRLHFSpec) -> list[str]:
    roles = (spec.resources.actor, spec.reference, spec.critic)
    found = {
        "model.attn_implementation: flash attention needs a GPU; leave it out": "flash"
        in (spec.model.attn_implementation or ""),
        "model.dtype: fp16 does not train on a CPU; use bf16": spec.model.dtype == "fp16",
        "train.packing_samples: needs flash_attn; set it to false": spec.train.packing_samples,
        "train.adam_offload: there is no GPU to offload from; set it to false": spec.train.adam_offload,
        "resources.vllm.sleep: frees GPU memory only; set it to false": spec.resources.vllm.sleep,
        "train.sleep: frees GPU memory only; set it to false": spec.train.sleep,
        "resources.vllm.tensor_parallel: an engine is one process on a CPU; set it to 1": (
            spec.resources.vllm.tensor_parallel > 1
        ),
        "resources: a model is one process on one machine on a CPU; set nodes and gpus_per_node to 1": (
            any(role is not None and role.gpus > 1 for role in roles)
        ),
    }
    return [message for message, is_asked in found.items() if is_asked]
