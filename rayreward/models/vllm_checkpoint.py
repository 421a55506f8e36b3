"""A checkpoint as vLLM reads it: the head's weight under the name ``score.weight``.

What arrives: a folder. What leaves: a folder that vLLM loads; the same one where nothing had to change. OpenRLHF writes
the head as ``value_head.weight`` (or ``<value_head_prefix>.weight``), which vLLM refuses. Only the one file that holds
the head is written anew, with another name in its header, into a cache; all others are links. The original is never
touched.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rayreward.errors import RewardLoadError

HEAD = "score.weight"
_COPY_BYTES = 16 * 2**20


def cache_folder() -> Path:
    """Where checkpoints that had to be changed are kept: ``rayreward/vllm`` in the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rayreward" / "vllm"


def fit_for_vllm(folder: Path, *, head: str | None = None, cache: Path | None = None) -> Path:
    """A folder in which the head is called ``score.weight``.

    Args:
        folder: the checkpoint, with its weights as safetensors.
        head: name of the head's weight there; None to look for it.
        cache: where a changed copy goes; by default `cache_folder`. A copy that is there already is used.

    Raises:
        RewardLoadError: no safetensors, no head, or several tensors that may be it.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise RewardLoadError(
            f"vLLM: {str(folder)!r} holds no *.safetensors file: save the checkpoint with "
            f"save_pretrained(…, safe_serialization=True), or use backend='packed'"
        )
    headers = {file: _header(file) for file in files}
    holders = {name: file for file, header in headers.items() for name in header if name != "__metadata__"}
    if HEAD in holders:
        return folder
    name = head or _head_name(folder, set(holders))
    if name not in holders:
        raise RewardLoadError(f"vLLM: {str(folder)!r} has no weight {name!r}: it is no reward model")
    target = (cache or cache_folder()) / _digest(folder, files)
    if not target.is_dir():
        _write_copy(folder, target, renamed=holders[name], name=name)
    return target


def _head_name(folder: Path, names: set[str]) -> str:
    config = json.loads((folder / "config.json").read_text())
    prefix = config.get("value_head_prefix")
    candidates = sorted({f"{prefix}.weight", "value_head.weight"} & names)
    if len(candidates) != 1:
        raise RewardLoadError(
            f"vLLM: {str(folder)!r} has no weights for a head: neither 'score.weight' nor 'value_head.weight', nor "
            f"what its config.json names as value_head_prefix ({prefix!r}). Give a checkpoint that was trained as a "
            f"reward model"
        )
    return candidates[0]


def _header(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        header: dict[str, Any] = json.loads(stream.read(size))
    return header


def _digest(folder: Path, files: list[Path]) -> str:
    """Names one state of one folder: another training into the same place is another copy."""
    states = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return hashlib.sha256(repr((str(folder.resolve()), states)).encode()).hexdigest()[:16]


def _write_copy(folder: Path, target: Path, *, renamed: Path, name: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place and then moved: of two replicas that start at once, none reads what the other has half written.
    work = Path(tempfile.mkdtemp(dir=target.parent, prefix=".writing-"))
    try:
        for file in folder.iterdir():
            if file.name.endswith(".index.json"):
                (work / file.name).write_text(json.dumps(_renamed_index(json.loads(file.read_text()), name)))
            elif file != renamed:
                (work / file.name).symlink_to(file.resolve())
        _copy_renamed(renamed, work / renamed.name, name)
        try:
            work.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _renamed_index(index: Mapping[str, Any], name: str) -> dict[str, Any]:
    places = {HEAD if key == name else key: file for key, file in index.get("weight_map", {}).items()}
    return {**index, "weight_map": places}


def _copy_renamed(source: Path, target: Path, name: str) -> None:
    """The same tensors; offsets count from the header's end, so that a longer or shorter header moves none of them."""
    header = {HEAD if key == name else key: value for key, value in _header(source).items()}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with source.open("rb") as old, target.open("wb") as new:
        (size,) = struct.unpack("<Q", old.read(8))
        old.seek(8 + size)
        new.write(struct.pack("<Q", len(text)) + text)
        shutil.copyfileobj(old, new, _COPY_BYTES)
