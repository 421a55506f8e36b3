"""No attack gains a point, reads a secret, or leaves anything behind; as root and as nobody, in a container and not."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rayreward
from tests.programs.attacks import ATTACKS

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or platform.machine() != "x86_64", reason="the numbers of system calls are x86-64's"
)
HARMLESS = ("reads_files_outside", "asks_a_server", "writes_outside", "lists_outside", "forks")
"""Attacks that can be let succeed."""


def run(*options: str, as_nobody: bool = False) -> dict[str, Any]:
    python = readable_python() if as_nobody else sys.executable
    folders = [str(Path(rayreward.__file__).parents[1]), *(folder for folder in sys.path if "site-packages" in folder)]
    finished = subprocess.run(
        [python, "-m", "tests.programs.attack_run", *options],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(folders)},
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    found: dict[str, Any] = json.loads(finished.stdout)
    return found


def readable_python() -> str:
    """An interpreter of this version that any user may run."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for python in (os.path.realpath(sys.executable), f"/usr/bin/python{version}"):
        folders = Path(python).parents
        if os.path.exists(python) and all(folder.stat().st_mode & 0o001 for folder in folders):
            return python
    pytest.skip(f"no Python {version} is readable by every user")


def check(found: dict[str, Any], tier: str | None) -> None:
    assert found["successes"] == {}
    assert found["graded"] >= 190  # all but those of languages that are not installed
    assert tier is None or found["tier"] == tier


def test_there_are_enough_of_them() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 80


def test_none_succeeds_at_the_strongest_tier_that_works_here() -> None:
    check(run(), tier=None)


@pytest.mark.attacks
def test_none_succeeds_without_namespaces() -> None:
    check(run("--tier", "landlock"), tier="landlock")


@pytest.mark.attacks
@pytest.mark.skipif(os.geteuid() != 0, reason="must be root")
def test_none_succeeds_as_root_in_a_container() -> None:
    check(run("--docker"), tier="landlock")


@pytest.mark.attacks
@pytest.mark.skipif(os.geteuid() != 0, reason="must be root to become nobody")
def test_none_succeeds_as_nobody_in_a_container() -> None:
    check(run("--docker", "--nobody", as_nobody=True), tier="landlock")


@pytest.mark.attacks
@pytest.mark.skipif(os.geteuid() != 0, reason="must be root to become nobody")
def test_none_succeeds_as_nobody() -> None:
    check(run("--nobody", as_nobody=True), tier=None)


def test_without_isolation_they_would() -> None:
    found = run("--tier", "none", "--only", *HARMLESS)
    assert found["successes"].keys() >= set(HARMLESS)
