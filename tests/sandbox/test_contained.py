"""The tiers as other machines have them: a container without namespaces, a kernel without Landlock, no root."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rayreward.sandbox.choosing import base_python

ROOT = Path(__file__).parents[2]
NOBODY = 65534

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the filter's numbers are x86_64's"),
]


def run_contained(uid: int, secret_file: Path, python: str, denied: str = "namespaces") -> dict[str, Any]:
    runner = python if uid else sys.executable
    command = [runner, "-m", "tests.sandbox.contained", str(uid), str(secret_file), python, denied]
    told = subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT), "HOME": "/nonexistent"}
    )
    assert told.returncode == 0, told.stderr
    result: dict[str, Any] = json.loads(told.stdout)
    return result


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "expected.txt"
    path.write_text("42")
    path.chmod(0o644)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    return path


def test_root_in_a_container(secret_file: Path) -> None:
    told = run_contained(0, secret_file, os.path.realpath(base_python()))
    assert told["escaped"] == {}
    assert (told["works"], told["report"]["tier"]) == ("42\n", "landlock")
    assert "not namespaces" in told["report"]


def test_root_in_a_container_gives_each_program_a_uid_where_all_may_read_the_interpreter(secret_file: Path) -> None:
    told = run_contained(0, secret_file, shared_python())
    assert told["escaped"] == {}
    assert (told["works"], told["report"]["tier"]) == ("42\n", "landlock")
    assert told["report"]["uid"] == "61184 and above, each program its own"


def test_nobody_in_a_container(secret_file: Path) -> None:
    if not os.stat(ROOT).st_mode & 0o005:
        pytest.skip("the source tree cannot be read by everybody")
    told = run_contained(NOBODY, secret_file, shared_python())
    assert told["escaped"] == {}
    assert (told["works"], told["report"]["tier"]) == ("42\n", "landlock")
    assert told["report"]["uid"] == "65534, the caller's own"


@pytest.mark.parametrize(("uid", "denied"), [(0, "landlock"), (NOBODY, "landlock"), (NOBODY, "nothing")])
def test_namespaces_without_landlock_and_without_root(secret_file: Path, uid: int, denied: str) -> None:
    told = run_contained(uid, secret_file, shared_python(), denied)
    if told["report"]["tier"] != "namespaces":
        pytest.skip(f"this machine gives no namespaces: {told['report']}")
    if denied == "landlock":  # mounts do its work: /tmp is the program's own folder, beside an empty machine's
        assert told["report"]["landlock"] == "none"
        assert "'0'" not in told["escaped"].pop("list other programs' folders")
        del told["escaped"]["write to /tmp"]
    assert told["escaped"] == {}
    assert told["works"] == "42\n"


def shared_python() -> str:
    python = shutil.which("python3", path="/usr/local/bin:/usr/bin")
    if python is None or subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode:
        pytest.skip("there is no Python 3.11 that everybody can read")
    return os.path.realpath(python)
