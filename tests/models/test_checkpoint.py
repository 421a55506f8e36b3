from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from rayreward.errors import RewardLoadError
from rayreward.models.checkpoint import read_checkpoint
from tests.models.checkpoints import save


@pytest.mark.parametrize("shards", [1, 3])
def test_tensors_are_known_by_name_and_shape_and_read_one_by_one(tmp_path: Path, shards: int) -> None:
    tensors = {f"layer.{at}": torch.full((at + 1, 2), float(at), dtype=torch.bfloat16) for at in range(5)}
    found = read_checkpoint(str(save(tmp_path, {"model_type": "x"}, tensors, shards=shards)))
    assert found.shapes == {f"layer.{at}": (at + 1, 2) for at in range(5)}
    assert len(set(found.files.values())) == shards
    [read] = found.tensors(["layer.3"]).values()
    assert read.dtype == torch.float32
    assert read.tolist() == [[3.0, 3.0]] * 4


@pytest.mark.parametrize("is_zip", [True, False])
def test_pickled_weights_are_read_too(tmp_path: Path, is_zip: bool) -> None:
    (tmp_path / "config.json").write_text("{}")
    content = {"score.weight": torch.ones(1, 4), "step": 3}
    torch.save(content, tmp_path / "pytorch_model.bin", _use_new_zipfile_serialization=is_zip)
    found = read_checkpoint(str(tmp_path))
    assert found.shapes == {"score.weight": (1, 4)}
    assert found.tensors(["score.weight"])["score.weight"].tolist() == [[1.0] * 4]


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    torch.save({"score.weight": Bomb(tmp_path / "ran")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(RewardLoadError, match=r"pytorch_model.bin cannot be read"):
        read_checkpoint(str(tmp_path))
    assert not (tmp_path / "ran").exists()


def test_what_is_no_checkpoint_is_refused_with_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(
        RewardLoadError, match=r"no config.json \(found nothing\): give the folder that save_pretrained"
    ):
        read_checkpoint(str(tmp_path))
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(RewardLoadError, match=r"an adapter .LoRA. without its model: merge the two"):
        read_checkpoint(str(tmp_path))
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(RewardLoadError, match=r"holds no object"):
        read_checkpoint(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RewardLoadError, match=r"no weights .* found adapter_config.json, config.json"):
        read_checkpoint(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(RewardLoadError, match=r"model.safetensors cannot be read: its header would have"):
        read_checkpoint(str(tmp_path))


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    folder = save(tmp_path, {}, {"a": torch.ones(1), "b": torch.ones(1)}, shards=2)
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(RewardLoadError, match=r"1 of 2 weight files are missing \(model-00002-of-00002.safetensors\)"):
        read_checkpoint(str(folder))


@pytest.mark.parametrize("index", ["{}", '{"weight_map": ["a"]}', '{"weight_map": {}}'])
def test_an_index_that_names_no_weights_is_refused(tmp_path: Path, index: str) -> None:
    folder = save(tmp_path, {}, {"a": torch.ones(1), "b": torch.ones(1)}, shards=2)
    (folder / "model.safetensors.index.json").write_text(index)
    with pytest.raises(RewardLoadError, match=r"model.safetensors.index.json names no weights"):
        read_checkpoint(str(folder))


def test_a_head_that_is_no_number_is_refused(tmp_path: Path) -> None:
    found = read_checkpoint(str(save(tmp_path, {}, {"score.weight": torch.tensor([[1.0, float("nan")]])})))
    with pytest.raises(RewardLoadError, match=r"score.weight is not all finite numbers"):
        found.tensors(["score.weight"])


def test_architecture_and_type_are_what_config_says(tmp_path: Path) -> None:
    config: dict[str, Any] = {"architectures": ["RewardModel"], "model_type": "llama"}
    found = read_checkpoint(str(save(tmp_path, config, {"a": torch.ones(1)})))
    assert (found.architecture, found.model_type) == ("RewardModel", "llama")
    (tmp_path / "config.json").write_text(json.dumps({"architectures": None}))
    found = read_checkpoint(str(tmp_path))
    assert (found.architecture, found.model_type) == ("", "")


class TestHub:
    @pytest.mark.parametrize("found", ["model.safetensors", "pytorch_model.bin"])
    def test_weights_are_fetched_in_one_format(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str
    ) -> None:
        asked: dict[str, Any] = {}

        def fetch(name: str, **options: Any) -> str:
            asked.update(options, name=name)
            return str(save(tmp_path, {"model_type": "llama"}, {"score.weight": torch.ones(1, 2)}))

        monkeypatch.setattr("huggingface_hub.list_repo_files", lambda *_args, **_options: ["config.json", found])
        monkeypatch.setattr("huggingface_hub.snapshot_download", fetch)
        assert read_checkpoint("some/model", revision="v1").model_type == "llama"
        assert (asked["name"], asked["revision"]) == ("some/model", "v1")
        assert ("*.bin" in asked["allow_patterns"]) == (found == "pytorch_model.bin")

    def test_what_is_neither_here_nor_there_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_args: Any, **_options: Any) -> Any:
            raise ConnectionError("no route")

        monkeypatch.setattr("huggingface_hub.list_repo_files", refuse)
        monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
        with pytest.raises(RewardLoadError, match=r"it is no folder here, and the hub answers: no route"):
            read_checkpoint("some/model")
