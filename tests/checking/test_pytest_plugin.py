"""The fixture, in pytest sessions of their own: as users have it."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLUGIN = "rayreward.checking.pytest_plugin"

DATA = '{"prompt": "2 + 2?", "response": "it is 4", "label": "4"}\n{"prompt": "3?", "response": "1", "label": "3"}\n'

TESTS = """
import pytest
from rayreward import reward_function

def last_word(response, label):
    return float(response.split()[-1:] == [label])

@reward_function
def length(response):
    return min(1.0, len(response) / 5)

def test_sound(check_reward):
    report = check_reward(last_word, data="data.jsonl", threshold=1.1, skip=["speed"])
    assert report.samples == 2

def test_paid_for_length(check_reward):
    check_reward(length, data="data.jsonl")

def test_by_address(check_reward):
    check_reward("length", data="data.jsonl", args={"target": 3}, limit=1, skip=["hacks", "hostile"])

def test_wrong_call(check_reward):
    check_reward(last_word, data="none.jsonl")
"""


def run_pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", PLUGIN, "-W", "error", "-p", "no:cacheprovider", *words]
    env = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("mode", ["prepend", "importlib"])
def test_a_reward_s_test_passes_or_fails_with_the_table(tmp_path: Path, mode: str) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_mine.py").write_text(TESTS)
    (tests / "data.jsonl").write_text(DATA)
    ended = run_pytest(tmp_path, f"--import-mode={mode}", "-rA")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "PASSED tests/test_mine.py::test_sound" in ended.stdout
    assert "PASSED tests/test_mine.py::test_by_address" in ended.stdout
    assert "a long text that says nothing" in ended.stdout
    assert "test_paid_for_length - Failed: length: wrong: hacks" in ended.stdout, "the summary names what is wrong"
    assert "none.jsonl: cannot be read" in ended.stdout
    assert "2 failed, 2 passed" in ended.stdout


def test_a_session_that_does_not_use_it_loads_next_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_other.py").write_text(
        "import sys\n"
        "def test_light():\n"
        "    ours = {name for name in sys.modules if name.split('.')[0] == 'rayreward'}\n"
        f"    assert ours == {{'rayreward', 'rayreward.checking', '{PLUGIN}'}}\n"
        "    assert not {'ray', 'httpx', 'msgspec', 'pydantic', 'cloudpickle'} & {*sys.modules}\n"
    )
    ended = run_pytest(tmp_path)
    assert ended.returncode == 0, ended.stdout


def test_pytest_finds_it_by_its_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["pytest11"] == {"rayreward": PLUGIN}
