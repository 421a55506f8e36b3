from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from rayreward.errors import RewardLoadError
from rayreward.models.vllm_checkpoint import cache_folder, fit_for_vllm

TRUNK = {"model.a": torch.arange(6.0).reshape(2, 3)}


def checkpoint(folder: Path, head: str | None, **config: object) -> Path:
    """Two files of weights with an index, as large models have."""
    folder.mkdir()
    second = {"model.b": torch.ones(4, dtype=torch.bfloat16), **({head: torch.full((1, 3), 7.0)} if head else {})}
    save_file(TRUNK, folder / "model-1.safetensors", metadata={"format": "pt"})
    save_file(second, folder / "model-2.safetensors")
    places = {"model.a": "model-1.safetensors", **dict.fromkeys(second, "model-2.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("head", "config"),
    [
        ("value_head.weight", {}),
        ("value_head.weight", {"value_head_prefix": "value_head"}),
        ("v.weight", {"value_head_prefix": "v"}),
        ("a_very_long_name_of_a_head.weight", {"value_head_prefix": "a_very_long_name_of_a_head"}),
    ],
)
def test_the_head_gets_the_name_that_vllm_knows(tmp_path: Path, head: str, config: dict[str, str]) -> None:
    given = checkpoint(tmp_path / "given", head, **config)
    folder = fit_for_vllm(given, cache=tmp_path / "cache")

    weights = load_file(folder / "model-2.safetensors")
    assert weights.keys() == {"model.b", "score.weight"}
    assert torch.equal(weights["score.weight"], torch.full((1, 3), 7.0))
    assert torch.equal(weights["model.b"], torch.ones(4, dtype=torch.bfloat16))
    assert torch.equal(load_file(folder / "model-1.safetensors")["model.a"], TRUNK["model.a"])
    index = json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"]
    assert index["score.weight"] == "model-2.safetensors"
    assert head not in index


def test_only_the_file_with_the_head_is_written_and_the_original_stays(tmp_path: Path) -> None:
    given = checkpoint(tmp_path / "given", "value_head.weight")
    before = {file.name: file.read_bytes() for file in given.iterdir()}
    folder = fit_for_vllm(given, cache=tmp_path / "cache")
    assert {file.name: file.read_bytes() for file in given.iterdir()} == before
    assert {file.name for file in folder.iterdir() if not file.is_symlink()} == {
        "model-2.safetensors", "model.safetensors.index.json",
    }  # fmt: skip


def test_a_copy_is_made_once_and_anew_when_the_weights_change(tmp_path: Path) -> None:
    given = checkpoint(tmp_path / "given", "value_head.weight")
    first = fit_for_vllm(given, cache=tmp_path / "cache")
    written = (first / "model-2.safetensors").stat().st_ino
    assert fit_for_vllm(given, cache=tmp_path / "cache") == first
    assert (first / "model-2.safetensors").stat().st_ino == written

    os.utime(given / "model-2.safetensors", ns=(1, 1))
    assert fit_for_vllm(given, cache=tmp_path / "cache") != first
    assert not list((tmp_path / "cache").glob(".writing-*"))


def test_a_checkpoint_that_fits_is_read_where_it_is(tmp_path: Path) -> None:
    given = checkpoint(tmp_path / "given", "score.weight")
    assert fit_for_vllm(given, cache=tmp_path / "cache") == given
    assert not (tmp_path / "cache").exists()


def test_one_without_a_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RewardLoadError, match="no weights for a head"):
        fit_for_vllm(checkpoint(tmp_path / "given", None), cache=tmp_path / "cache")


def test_one_without_safetensors_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(RewardLoadError, match="safe_serialization"):
        fit_for_vllm(tmp_path)


def test_the_cache_is_where_caches_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder() == Path("/elsewhere/rayreward/vllm")
