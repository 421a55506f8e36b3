import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from rayreward.jobs.openrlhf.convert import convert_command
from rayreward.jobs.openrlhf.cpu import fit_to_cpu
from rayreward.jobs.openrlhf.flags import render_flags
from rayreward.jobs.openrlhf.parser import OpenRLHFParser, parser_of
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.openrlhf.versions import SUPPORTED_VERSIONS
from rayreward.jobs.preflight.batches import check_batches
from rayreward.jobs.preflight.placement import check_placement
from rayreward.jobs.spec import load_spec
from tests.jobs.conftest import build_spec

URL = "http://127.0.0.1:8000/get_reward"
FOLDER = Path(__file__).parents[3] / "jobs"
RECIPES = [path for path in sorted(FOLDER.glob("*.yaml")) if yaml.safe_load(path.read_text()).get("kind") != "trl"]


def load(path: Path) -> OpenRLHFSpec:
    spec = load_spec(path, base=Path("/data"))
    assert isinstance(spec, OpenRLHFSpec)
    return spec


def commands_of(spec: OpenRLHFSpec, version: str) -> list[list[str]]:
    """However its samples are scored: by URL, by a function's file, by an agent."""
    fitted = fit_to_cpu(spec) if spec.platform == "cpu" else spec
    return [
        render_flags(fitted, reward_urls=[URL], version=version),
        render_flags(fitted, reward_urls=["./reward_func.py"], version=version),
        render_flags(fitted, agent_path="./multi_turn.py", version=version),
    ]


def test_the_recipes_are_there() -> None:
    assert {"ppo", "reinforce", "grpo", "demo"} <= {path.stem for path in RECIPES}


@pytest.mark.openrlhf
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_s_command_is_accepted_by_the_real_parsers(
    recipe: Path, real_parsers: dict[str, OpenRLHFParser]
) -> None:
    assert {"0.9.10", "0.10.4"} <= real_parsers.keys()
    for version, parser in real_parsers.items():
        for words in commands_of(load(recipe), version):
            assert parser.check(words) == [], version


@pytest.mark.openrlhf
def test_an_agent_s_command_is_accepted_by_the_real_parsers(real_parsers: dict[str, OpenRLHFParser]) -> None:
    spec = build_spec(agent={"environment": "./world.py::World"}, train={"async_rollout": True})

    for version, parser in real_parsers.items():
        assert parser.check(render_flags(spec, agent_path="./multi_turn.py", version=version)) == [], version


@pytest.mark.parametrize("version", SUPPORTED_VERSIONS)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_s_command_is_accepted_by_every_version(recipe: Path, version: str) -> None:
    for words in commands_of(load(recipe), version):
        assert parser_of(version).check(words) == []


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_can_work(recipe: Path) -> None:
    spec = load(recipe)

    assert [*check_batches(spec), *check_placement(spec)] == []


def without_what_no_flag_says(spec: OpenRLHFSpec) -> dict[str, Any]:
    data = spec.model_dump(exclude={"platform": True, "agent": True, "reward": {"name", "url", "transport"}})
    return data | {"clip_range": spec.reward.clip_range}


@pytest.mark.parametrize("version", SUPPORTED_VERSIONS)
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_s_command_is_converted_into_the_recipe(recipe: Path, version: str) -> None:
    spec = load(recipe)
    words = render_flags(spec, reward_urls=[URL], version=version)

    converted = convert_command(f"ray job submit -- python3 -m openrlhf.cli.train_ppo_ray {shlex.join(words)}")

    back = OpenRLHFSpec.parse(converted.data, source="converted.yaml").resolved(Path("/data"))
    assert without_what_no_flag_says(back) == without_what_no_flag_says(spec)
    assert back.reward.urls == (URL,)
    assert not [note for note in converted.notes if "max_len counts" not in note]
