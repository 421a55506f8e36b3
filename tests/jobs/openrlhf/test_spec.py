import pickle
from pathlib import Path

import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.sections import is_local
from rayreward.jobs.spec import load_spec
from tests.jobs.conftest import build_spec

MINIMAL = "name: first\nmodel: {path: Qwen/Qwen2.5-0.5B}\ndata: {prompts: ./prompts.jsonl}\n"


def test_three_keys_are_enough() -> None:
    spec = build_spec()

    assert spec.platform == "gpu"
    assert spec.rollout.samples_per_step == 1024
    assert spec.train_batch_size == 1024, "one optimizer step on all samples of a step"
    assert spec.output_dir == "./runs/test"


@pytest.mark.parametrize("key", ["name", "model", "data"])
def test_each_of_the_three_is_required(key: str) -> None:
    data = {"name": "first", "model": {"path": "a/b"}, "data": {"prompts": "c/d"}}
    del data[key]

    with pytest.raises(ConfigError, match=f"key '{key}' is required"):
        type(build_spec()).parse(data, source="job.yaml")


def test_an_unknown_key_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"test\.yaml: unknown key 'rollout\.n_samples'.*'n_samples_per_prompt'"):
        build_spec(rollout={"n_samples": 8})


def test_a_spec_survives_pickling() -> None:
    spec = build_spec(resources={"actor": {"gpus_per_node": 2}})

    assert pickle.loads(pickle.dumps(spec)) == spec


def test_an_override_in_scientific_notation_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(MINIMAL)

    assert load_spec(path, ["optimizer.learning_rate=1e-2"]).optimizer.learning_rate == 0.01


def test_local_paths_become_absolute_and_hub_names_stay(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(MINIMAL)

    spec = load_spec(path, base=Path("/data"))

    assert spec.model.path == "Qwen/Qwen2.5-0.5B"
    assert spec.data.prompts == "/data/prompts.jsonl"
    assert spec.output_dir == "/data/runs/first"
    assert not spec.uses_local_files_only


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("owner/name", False),
        ("gpt2", False),
        ("a/b,c/d", False),
        ("./owner/name", True),
        ("a/b/c", True),
        ("p.csv", True),
    ],
)
def test_a_hub_name_is_not_taken_for_a_path(path: str, expected: bool) -> None:
    assert is_local(path) is expected


def test_resolving_twice_changes_nothing() -> None:
    once = build_spec().resolved(Path("/data"))

    assert once.resolved(Path("/elsewhere")) == once


def test_reference_and_critic_exist_only_where_the_algorithm_needs_them() -> None:
    plain = build_spec(algorithm={"estimator": "group_norm", "kl_coef": 0})
    full = build_spec(algorithm={"estimator": "gae", "kl_coef": 0.01}, resources={"actor": {"gpus_per_node": 4}})

    assert (plain.reference, plain.critic) == (None, None)
    assert full.reference == full.critic == full.resources.actor


@pytest.mark.parametrize(
    ("section", "value", "expected"),
    [
        ("reward", {"name": "a", "url": "http://b"}, "both name and url"),
        ("reward", {"url": "http://a,http://b"}, "no comma"),
        ("reward", {"url": "10.0.0.1:8000"}, "http://"),
        ("algorithm", {"dynamic_filtering_range": [1, 0]}, "is empty"),
        ("data", {"prompts": "p.jsonl", "input_template": "Question:"}, "no {} for the prompt"),
        ("name", "two words", "pattern"),
        ("rollout", {"batch_size": 0}, "greater than or equal to 1"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_its_reason(section: str, value: object, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        build_spec(**{section: value})


@pytest.mark.parametrize(
    ("max_samples", "prompt_count", "episodes", "expected"),
    [(256, None, 1, 32), (256, 80, 1, 10), (None, 20, 2, 6), (None, None, 1, None)],
)
def test_planned_steps_follow_from_the_prompts(
    max_samples: int | None, prompt_count: int | None, episodes: int, expected: int | None
) -> None:
    spec = build_spec(
        data={"prompts": "p.jsonl", "max_samples": max_samples}, rollout={"batch_size": 8}, train={"episodes": episodes}
    )

    assert spec.planned_steps(prompt_count=prompt_count) == expected
