from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from rayreward.jobs.spec import parse_spec
from tests.cli.conftest import Run

ROOT = Path(__file__).parents[2]
RECIPES = sorted(path.name for path in (ROOT / "jobs").glob("*.yaml"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_renders_to_a_command(run: Run, recipe: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    ended = run("jobs", "render", f"jobs/{recipe}", "--service", "http://10.0.0.1:8000")
    assert ended.code == 0, ended.err
    assert " -m " in ended.out.splitlines()[-1]


def test_as_json_uploads_are_named_without_their_content(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    document = json.loads(run("jobs", "render", "jobs/grpo.yaml", "rollout.batch_size=64", "--json").out)
    assert document["uploads"] == ["single_turn.py"]
    assert document["argv"][document["argv"].index("--rollout.batch_size") + 1] == "64"


def test_an_override_that_does_not_exist_is_refused_with_the_nearest(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    ended = run("jobs", "render", "jobs/grpo.yaml", "rollout.batch_sise=64")
    assert ended.code == 2
    assert "unknown key 'rollout.batch_sise'; did you mean 'batch_size'?" in ended.err


def test_a_version_without_quotes_says_what_is_wrong(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    ended = run("jobs", "render", "jobs/grpo.yaml", "openrlhf_version=0.10")
    assert ended.code == 2
    assert "put it in quotes" in ended.err


def test_the_schema_knows_both_trainers(run: Run) -> None:
    document = json.loads(run("jobs", "schema").out)
    assert {kind["properties"]["kind"]["const"] for kind in document["anyOf"]} == {"openrlhf", "trl"}


def test_a_pasted_command_becomes_a_spec(run: Run) -> None:
    command = (
        "ray job submit -- python3 -m openrlhf.cli.train_ppo_ray --pretrain a/b --prompt_data c/d "
        "--remote_rm_url http://localhost:5000/get_reward --vllm_num_engines 2"
    )
    ended = run("jobs", "convert", command)
    assert ended.code == 0, ended.err
    spec = parse_spec(yaml.safe_load(ended.out), source="converted")
    assert spec.model.path == "a/b"
    assert spec.reward.urls == ("http://localhost:5000/get_reward",)
