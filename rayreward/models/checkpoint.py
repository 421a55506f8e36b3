"""What lies in a checkpoint: its configuration, and which tensors of which shapes, read without loading any.

What arrives: a folder or a hub name. What leaves: a `Checkpoint` that names every tensor, and hands over single ones.
It decides nothing: what kind of model the tensors make is `rayreward.models.families`'. Pickles are read with
``weights_only``, so that no file can run code.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rayreward.errors import MissingExtraError, RewardLoadError

_MOST_HEADER_BYTES = 100 << 20
"""A safetensors header over this is no header: the library itself refuses it."""

_HUB_FILES = ("*.json", "*.safetensors", "*.bin", "*.model", "*.txt", "*.jinja", "*.py")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint as it lies on disk.

    Attributes:
        name: as it was asked for.
        folder: where its files are.
        config: its config.json.
        shapes: of every tensor, by name.
        files: which file holds a tensor, by its name.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    files: Mapping[str, Path] = field(repr=False)

    @property
    def model_type(self) -> str:
        """Of its trunk: "llama", "deberta-v2", …; empty where config.json has none."""
        return str(self.config.get("model_type") or "")

    @property
    def architecture(self) -> str:
        """The class that saved it, empty where config.json names none."""
        named = self.config.get("architectures") or [""]
        return str(named[0])

    def tensors(self, names: Iterable[str]) -> dict[str, Any]:
        """Some tensors by name, in fp32 on the CPU.

        Raises:
            RewardLoadError: a file that cannot be read, or a tensor that is not finite.
        """
        found: dict[str, Any] = {}
        for name in names:
            try:
                found[name] = _read_tensor(self.files[name], name).float()
            except (OSError, RuntimeError, ValueError, KeyError) as error:
                raise RewardLoadError(
                    f"{self.name!r}: {name} cannot be read from {self.files.get(name)}: {error}"
                ) from error
            if not bool(found[name].isfinite().all()):
                raise RewardLoadError(f"{self.name!r}: {name} is not all finite numbers: the checkpoint is damaged")
        return found


def read_checkpoint(name: str, *, revision: str | None = None) -> Checkpoint:
    """The checkpoint in a folder, or of the hub; those are fetched first.

    Raises:
        RewardLoadError: there is none, its files are damaged, or it is an adapter without its model.
        MissingExtraError: its files need a library that is not installed.
    """
    folder = _find_folder(name, revision)
    config = _read_json(folder / "config.json", name)
    shapes, files = _tensor_table(folder, name)
    return Checkpoint(name, folder, config, shapes, files)


def _find_folder(name: str, revision: str | None) -> Path:
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise RewardLoadError(f"{name!r} cannot be loaded: {_what_it_is(folder)}")
        return folder
    return _download(name, revision)


def _download(name: str, revision: str | None) -> Path:
    """From the hub, or from what was fetched of it before."""
    try:
        from huggingface_hub import list_repo_files, snapshot_download
    except ImportError as error:
        raise MissingExtraError(
            f"reward models need transformers ({error}): pip install 'rayreward[models]'"
        ) from error
    patterns = list(_HUB_FILES)
    try:
        has_safetensors = any(file.endswith(".safetensors") for file in list_repo_files(name, revision=revision))
    except Exception:  # noqa: BLE001 - without a hub what was fetched before still serves
        has_safetensors = False
    if has_safetensors:
        patterns.remove("*.bin")  # the same weights once more
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns, ignore_patterns=["*/*"]))
    except Exception as error:  # the boundary: whatever a hub, a proxy or a wrong name makes the library raise
        raise RewardLoadError(
            f"{name!r} cannot be loaded: it is no folder here, and the hub answers: {error}"
        ) from error


def _what_it_is(folder: Path) -> str:
    if (folder / "adapter_config.json").is_file():
        return (
            "it is an adapter (LoRA) without its model: merge the two (peft's merge_and_unload, OpenRLHF's "
            "`python -m openrlhf.cli.lora_combiner`), and give the merged folder"
        )
    inside = ", ".join(sorted(one.name for one in folder.iterdir())[:6]) or "nothing"
    return f"it has no config.json (found {inside}): give the folder that save_pretrained() wrote"


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RewardLoadError(f"{name!r} cannot be loaded: {path.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise RewardLoadError(f"{name!r} cannot be loaded: {path.name} holds no object")
    return content


def _tensor_table(folder: Path, name: str) -> tuple[dict[str, tuple[int, ...]], dict[str, Path]]:
    """Shapes and files of all tensors. Of two formats beside each other safetensors count, as for transformers."""
    shapes: dict[str, tuple[int, ...]] = {}
    files: dict[str, Path] = {}
    for path in _weight_files(folder, name):
        try:
            found = _safetensors_shapes(path) if path.suffix == ".safetensors" else _pickle_shapes(path)
        except Exception as error:  # the boundary: whatever a damaged file makes a reader raise
            raise RewardLoadError(f"{name!r} cannot be loaded: {path.name} cannot be read: {error}") from error
        shapes.update(found)
        files.update(dict.fromkeys(found, path))
    return shapes, files


def _weight_files(folder: Path, name: str) -> list[Path]:
    for stem, ending in (("model", "safetensors"), ("pytorch_model", "bin")):
        index = folder / f"{stem}.{ending}.index.json"
        if index.is_file():
            table = _read_json(index, name).get("weight_map")
            if not isinstance(table, dict) or not table:
                raise RewardLoadError(f"{name!r} cannot be loaded: {index.name} names no weights: fetch it again")
            shards = sorted(set(map(str, table.values())))
            missing = [one for one in shards if not (folder / one).is_file()]
            if missing:
                raise RewardLoadError(
                    f"{name!r} cannot be loaded: {len(missing)} of {len(shards)} weight files are missing "
                    f"({', '.join(missing[:3])}): fetch or copy the checkpoint again"
                )
            return [folder / one for one in shards]
        if (folder / f"{stem}.{ending}").is_file():
            return [folder / f"{stem}.{ending}"]
    inside = ", ".join(sorted(one.name for one in folder.iterdir())[:6])
    raise RewardLoadError(
        f"{name!r} cannot be loaded: no weights (model.safetensors, pytorch_model.bin or their shards), found {inside}"
    )


def _safetensors_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """From the header: eight bytes of its length, then JSON."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        if size > _MOST_HEADER_BYTES:
            raise ValueError(f"its header would have {size} bytes")
        header = json.loads(file.read(size))
    return {name: tuple(one["shape"]) for name, one in header.items() if name != "__metadata__"}


def _pickle_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    return {name: tuple(one.shape) for name, one in _load_pickle(path).items()}


def _load_pickle(path: Path) -> dict[str, Any]:
    import torch

    # Files of torch before 1.6 are no archives, and cannot be mapped.
    loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    return {name: one for name, one in loaded.items() if hasattr(one, "shape")}


def _read_tensor(path: Path, name: str) -> Any:
    if path.suffix != ".safetensors":
        return _load_pickle(path)[name]
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return file.get_tensor(name)
