import json
from pathlib import Path
from typing import Any

import pytest

from rayreward.jobs.preflight.model import check_critic, check_folder, check_model_fits, find_model
from tests.jobs.conftest import build_spec


def write_model(folder: Path, *files: str, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for file in files:
        (folder / file).write_bytes(b"\0" * 2048)
    return folder


def check(folder: Path) -> list[str]:
    return [finding.found for finding in check_folder("model.path", str(folder), needs_tokenizer=True)]


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin", "model-00001-of-00001.safetensors"])
def test_a_whole_model_has_no_findings(tmp_path: Path, weights: str) -> None:
    assert check(write_model(tmp_path, weights, "tokenizer.json")) == []


def test_a_download_that_broke_off_is_found(tmp_path: Path) -> None:
    write_model(tmp_path, "model-1.safetensors", "tokenizer.json")
    shards = {"a": "model-1.safetensors", "b": "model-2.safetensors", "c": "model-3.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))

    assert check(tmp_path) == [f"{tmp_path} lacks 2 of its files of weights, model-2.safetensors first"]


def test_an_adapter_without_its_model_is_found(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")

    (finding,) = check_folder("model.path", str(tmp_path), needs_tokenizer=True)

    assert "an adapter without its model" in finding.found
    assert "merge it" in finding.remedy


def test_only_a_critic_that_is_trained_is_looked_for() -> None:
    model = {"path": "owner/name", "critic_path": "/nowhere/critic"}

    (finding,) = check_critic(build_spec(model=model, algorithm={"estimator": "gae"}))

    assert "/nowhere/critic has no config.json" in finding.found
    assert list(check_critic(build_spec(model=model))) == []


@pytest.mark.parametrize(
    "config",
    [
        {"max_position_embeddings": 4096},
        {"max_position_embeddings": 512, "rope_scaling": {"rope_type": "yarn", "factor": 8.0}},
        {"max_position_embeddings": 512, "rope_parameters": {"full": {"rope_type": "linear", "factor": 8.0}}},
        {"text_config": {"max_position_embeddings": 4096}},
        {},
    ],
)
def test_a_model_that_can_place_the_text_fits(tmp_path: Path, config: dict[str, Any]) -> None:
    assert list(check_model_fits(build_spec(model={"path": str(write_model(tmp_path, **config))}))) == []


@pytest.mark.parametrize(
    "config",
    [
        {"max_position_embeddings": 512},
        {"max_position_embeddings": 512, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}},
        {"text_config": {"max_position_embeddings": 512}},
    ],
)
def test_a_model_that_cannot_is_found_unless_vllm_is_told_to_try(tmp_path: Path, config: dict[str, Any]) -> None:
    model = {"path": str(write_model(tmp_path, **config))}

    assert list(check_model_fits(build_spec(model=model)))
    assert list(check_model_fits(build_spec(model=model, env_vars={"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"}))) == []


def test_a_model_of_a_hub_is_found_in_this_machine_s_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    kept = tmp_path / "hub" / "models--owner--name"
    (kept / "refs").mkdir(parents=True)
    (kept / "refs" / "main").write_text("abc")

    assert find_model("owner/name") is None
    assert find_model("owner/name") != write_model(kept / "snapshots" / "abc")
    assert find_model("owner/name") == kept / "snapshots" / "abc"
    assert find_model("owner/other") is None
