from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

from rayreward.errors import ConfigError, RewardLoadError
from rayreward.loading import check_address, load_object, names_in_file, require_extra, split_address

FILE = """
import math
from json import dumps as to_json

def reward(response):
    return float(len(response))

class Group:
    @staticmethod
    def inner(response):
        return 0.0

try:
    import missing_package
except ImportError:
    def fallback(response):
        return 0.0

annotated: int = 1
left, (right, *rest) = 1, (2, 3)
if (walrus := 3) > 2:
    async def conditional(response):
        inside = 1
        return inside
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_rewards.py"
    path.write_text(FILE)
    return path


class TestLoadObject:
    def test_finds_a_name_in_a_file_and_in_a_module(self, file: Path) -> None:
        assert load_object(f"{file}::reward")("four") == 4.0
        assert load_object(f"{file}:reward")("four") == 4.0
        assert load_object(f"{file}::Group.inner")("x") == 0.0
        assert load_object("os.path:join")("a", "b") == "a/b"

    def test_loads_a_file_once(self, file: Path) -> None:
        assert load_object(f"{file}::reward") is load_object(f"{file}::reward")

    def test_keeps_files_of_one_name_apart(self, file: Path, tmp_path: Path) -> None:
        other = tmp_path / "other" / file.name
        other.parent.mkdir()
        other.write_text("def reward(response):\n    return -1.0\n")
        assert load_object(f"{other}::reward")("four") == -1.0
        assert load_object(f"{file}::reward")("four") == 4.0

    def test_its_functions_travel_to_processes_that_lack_the_file(self, file: Path) -> None:
        blob = cloudpickle.dumps(load_object(f"{file}::reward"))
        file.unlink()
        script = "import pickle, sys; print(pickle.loads(sys.stdin.buffer.read())('four'))"
        found = subprocess.run([sys.executable, "-c", script], input=blob, capture_output=True, check=True)
        assert found.stdout == b"4.0\n"

    @pytest.mark.parametrize(
        ("address", "reason"),
        [
            ("my_rewards.py", "names no reward; write 'my_rewards.py::my_reward'"),
            ("::name", "names no reward"),
            ("file.py::", "names no reward"),
            ("nowhere.py::reward", r"nowhere.py: no such file \(looked from"),
            ("no_such_module:reward", "module 'no_such_module' cannot be imported.*PYTHONPATH"),
            ("json:dupms", "json has no 'dupms'; did you mean 'dumps'"),
        ],
    )
    def test_says_what_it_looked_for_and_where(self, address: str, reason: str) -> None:
        with pytest.raises(RewardLoadError, match=reason):
            load_object(address)

    @pytest.mark.parametrize("body", ["1 / 0", "def broken(", "import no_such_module", "raise SystemExit('usage')"])
    def test_a_file_that_breaks_is_no_reward_and_is_not_remembered(self, tmp_path: Path, body: str) -> None:
        path = tmp_path / "broken.py"
        path.write_text(body)
        with pytest.raises(RewardLoadError, match=r"broken\.py: importing it raised"):
            load_object(f"{path}::reward")
        path.write_text("def reward(response):\n    return 1.0\n")
        assert load_object(f"{path}::reward")("x") == 1.0

    def test_a_folder_is_no_file(self, tmp_path: Path) -> None:
        (tmp_path / "folder.py").mkdir()
        with pytest.raises(RewardLoadError, match="no such file"):
            load_object(f"{tmp_path}/folder.py::reward")


class TestCheckAddress:
    @pytest.mark.parametrize(
        "name",
        ["reward", "Group.inner", "math", "to_json", "missing_package", "fallback", "annotated",
         "left", "right", "rest", "walrus", "conditional"],
    )  # fmt: skip
    def test_finds_all_that_a_file_binds_without_running_it(self, file: Path, name: str) -> None:
        check_address(f"{file}::{name}")

    @pytest.mark.parametrize("name", ["rewrad", "inside", "inner"])
    def test_refuses_what_it_does_not(self, file: Path, name: str) -> None:
        with pytest.raises(RewardLoadError, match=f"defines no '{name}'"):
            check_address(f"{file}::{name}")

    @pytest.mark.parametrize("body", ["from os import *", "def __getattr__(name): ..."])
    def test_lets_a_file_pass_that_may_define_any_name(self, tmp_path: Path, body: str) -> None:
        path = tmp_path / "open.py"
        path.write_text(body)
        check_address(f"{path}::anything")

    @pytest.mark.parametrize("content", [b"def broken(", b"\xff\xfe", b"a\x00b"])
    def test_refuses_what_is_no_python(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "broken.py"
        path.write_bytes(content)
        with pytest.raises(RewardLoadError, match="cannot be read as Python"):
            check_address(f"{path}::reward")
        with pytest.raises(RewardLoadError, match="no such file"):
            names_in_file(tmp_path / "missing.py")

    def test_leaves_modules_for_later(self) -> None:
        check_address("not_here_yet:reward")
        assert split_address("not_here_yet:reward") == ("not_here_yet", "reward")


def test_an_extra_that_is_missing_is_named() -> None:
    require_extra("json", "verifiers", asked_by="mine")
    with pytest.raises(ConfigError, match=r"mine needs no_such_library.*pip install 'rayreward\[verifiers\]'"):
        require_extra("no_such_library", "verifiers", asked_by="mine")
