"""A TRL training whose samples go through Ray's handle, not over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rayreward import HttpClient
from rayreward.client.sync import run_sync
from rayreward.jobs.openrlhf.progress import parse_step
from rayreward.jobs.tiny_model import build_tiny_model, write_prompts
from rayreward.jobs.trl.train import main

pytest.importorskip("trl")

pytestmark = [pytest.mark.ray, pytest.mark.trl, pytest.mark.filterwarnings("ignore")]


def test_it_finds_the_router_in_its_own_cluster(
    client: HttpClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_tiny_model(tmp_path / "model")
    write_prompts(tmp_path / "prompts.jsonl", count=8)
    spec = {
        "kind": "trl",
        "name": "tiny",
        "platform": "cpu",
        "model": {"path": str(tmp_path / "model")},
        "data": {"prompts": str(tmp_path / "prompts.jsonl"), "label_key": "label"},
        "rollout": {"batch_size": 4, "n_samples_per_prompt": 2, "max_new_tokens": 8},
        "train": {"steps": 1},
        "reward": {"name": "final_answer", "transport": "handle"},
        "checkpoint": {"output_dir": str(tmp_path / "out")},
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))

    assert main([str(tmp_path / "spec.json"), "--run-id", "tiny-handle"]) == 0

    [step] = [step for line in capsys.readouterr().out.splitlines() if (step := parse_step(line)) is not None]
    assert step.sample_count == 8
    assert run_sync(client.arun_stats("tiny-handle")).sample_count == 8
