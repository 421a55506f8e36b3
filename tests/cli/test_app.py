from __future__ import annotations

import subprocess
import sys

import pytest

from rayreward import __version__
from tests.cli.conftest import Run

HEAVY = ("ray", "torch", "transformers", "vllm", "fastapi", "starlette", "httpx", "pandas", "numpy")

PROBE = f"""
import sys
from typer.testing import CliRunner
from rayreward.cli.app import app
result = CliRunner().invoke(app, sys.argv[1:])
assert result.exit_code == 0, result.output
print([name for name in {HEAVY!r} if name in sys.modules])
"""


@pytest.mark.parametrize(
    "words", [["--help"], ["score", "--help"], ["jobs", "--help"], ["doctor", "--help"], ["versions", "--help"]]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    ended = subprocess.run([sys.executable, "-c", PROBE, *words], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_help_lists_every_command(run: Run) -> None:
    listed = run("--help").out
    assert all(command in listed for command in ("serve", "score", "jobs", "demo", "doctor", "prescale", "versions"))


def test_the_version_is_the_packages(run: Run) -> None:
    assert run("--version").out == f"rayreward {__version__}\n"


def test_an_unknown_command_is_a_mistake(run: Run) -> None:
    ended = run("scroe")
    assert ended.code == 2
    assert "score" in ended.err
