"""Whether the model is whole, and can be what the plan makes of it.

What arrives: a spec. What leaves: findings. A name on a hub is looked up in this machine's cache of it; what is not
there is left to the training.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.sections import is_local
from rayreward.jobs.spec import JobSpec

CHECK = "model"

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")

_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json", "vocab.txt")

_POINTER_BYTES = 1024
"""No weights are that small; a file that Git LFS left in their place is."""


def check_model(spec: JobSpec) -> Iterator[Finding]:
    """Whether the models that are named by their folders are there."""
    yield from check_folder("model.path", spec.model.path, needs_tokenizer=True)


def check_critic(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """Whether the critic's own model is there."""
    if spec.critic is not None and spec.model.critic_path is not None:
        yield from check_folder("model.critic_path", spec.model.critic_path, needs_tokenizer=False)


def check_folder(key: str, path: str, *, needs_tokenizer: bool) -> Iterator[Finding]:
    """Whether a folder holds a whole model; a name on a hub passes."""
    if not is_local(path):
        return
    folder = Path(path)
    if not (folder / "config.json").is_file():
        is_adapter = (folder / "adapter_config.json").is_file()
        found = f"{path} has no config.json" + (": it is an adapter without its model" if is_adapter else "")
        remedy = "merge it into its model first" if is_adapter else f"{key} must name a folder that every node can read"
        yield Finding(CHECK, found, remedy)
        return
    yield from _check_weights(folder)
    if needs_tokenizer and not has_tokenizer(folder):
        yield Finding(CHECK, f"{path} has no tokenizer", "save the tokenizer into the same folder: save_pretrained")


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder holds files of a tokenizer."""
    return any((folder / name).is_file() for name in _TOKENIZER)


def _check_weights(folder: Path) -> Iterator[Finding]:
    remedy = "copy or download the folder again"
    files = [file for pattern in _WEIGHTS for file in folder.glob(pattern)]
    index = _read_json(folder / "model.safetensors.index.json")
    missing = sorted({*index.get("weight_map", {}).values()} - {file.name for file in files})
    if missing:
        yield Finding(CHECK, f"{folder} lacks {len(missing)} of its files of weights, {missing[0]} first", remedy)
    elif not files:
        yield Finding(CHECK, f"{folder} has no weights", remedy)
    pointers = [file for file in files if _is_pointer(file)]
    if pointers:
        yield Finding(CHECK, f"{pointers[0]} is a pointer of Git LFS instead of weights", f"git lfs pull, or {remedy}")


def _is_pointer(file: Path) -> bool:
    return file.stat().st_size < _POINTER_BYTES and file.read_bytes().startswith(b"version https://git-lfs")


def check_model_fits(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """What vLLM refuses after minutes: a longer text than the model can place, heads that cannot be dealt out."""
    config = read_config(spec.model.path)
    text = config.get("text_config") or config
    longest, max_len = text.get("max_position_embeddings"), spec.data.max_len
    may_exceed = spec.env_vars.get("VLLM_ALLOW_LONG_MAX_MODEL_LEN") == "1"
    if isinstance(longest, int) and max_len > longest and not _is_stretched(text) and not may_exceed:
        found = f"data.max_len {max_len} is more than the {longest} positions that {spec.model.path} knows"
        yield Finding(CHECK, found, f"set data.max_len to {longest} or less")
    heads, parts = text.get("num_attention_heads"), spec.resources.vllm.tensor_parallel
    if isinstance(heads, int) and heads % parts:
        fitting = ", ".join(str(size) for size in range(1, heads + 1) if heads % size == 0)
        found = f"the {heads} attention heads of {spec.model.path} cannot be dealt out to {parts} GPUs"
        yield Finding(CHECK, found, f"set resources.vllm.tensor_parallel to one of {fitting}")


def _is_stretched(config: dict[str, Any]) -> bool:
    """Whether rotary positions are scaled, so that the model takes more than its config counts."""
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kinds = [rope, *(part for part in rope.values() if isinstance(part, dict))]  # one, or one a kind of layer
    return any(kind.get("rope_type", kind.get("type", "default")) != "default" for kind in kinds)


def read_config(path: str) -> dict[str, Any]:
    """The model's config.json; empty where it cannot be read here."""
    folder = find_model(path)
    return {} if folder is None else _read_json(folder / "config.json")


def find_model(path: str) -> Path | None:
    """The folder of a model: itself, or what this machine's cache of the hub holds of it."""
    if is_local(path):
        return Path(path) if Path(path).is_dir() else None
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    kept = cache / f"models--{path.replace('/', '--')}"
    try:
        revision = (kept / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    snapshot = kept / "snapshots" / revision
    return snapshot if snapshot.is_dir() else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
