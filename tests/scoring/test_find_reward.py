from __future__ import annotations

from pathlib import Path

import pytest

from rayreward.errors import ConfigError, RewardLoadError
from rayreward.scoring.find_reward import find_reward


def written(tmp_path: Path, code: str) -> str:
    path = tmp_path / "rewards.py"
    path.write_text(code)
    return str(path)


def test_names_and_addresses_are_taken_as_they_are() -> None:
    assert [find_reward(where) for where in ("length", "a.py::b", "pkg.mod:b")] == ["length", "a.py::b", "pkg.mod:b"]


def test_the_only_marked_function_of_a_file_is_its_reward(tmp_path: Path) -> None:
    code = "from rayreward import reward_function\ndef helper(x): ...\n@reward_function\ndef tidy(response): ...\n"
    where = written(tmp_path, code)
    assert find_reward(where) == f"{where}::tidy"


def test_the_only_class_of_a_file_is_its_reward(tmp_path: Path) -> None:
    code = "from rayreward import RewardFunction\nclass Tidy(RewardFunction):\n    def compute_reward(self, t): ...\n"
    where = written(tmp_path, code)
    assert find_reward(where) == f"{where}::Tidy"


def test_without_a_marked_one_the_only_public_function_is_the_reward(tmp_path: Path) -> None:
    where = written(tmp_path, "from json import loads\ndef _help(x): ...\ndef tidy(response): ...\n")
    assert find_reward(where) == f"{where}::tidy"


def test_several_rewards_are_listed_as_they_must_be_written(tmp_path: Path) -> None:
    where = written(tmp_path, "def a(response): ...\ndef b(response): ...\n")
    with pytest.raises(ConfigError, match=r"has 2 rewards; say which: .*rewards\.py::a, .*rewards\.py::b"):
        find_reward(where)


def test_a_file_without_a_reward_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no reward; write a function and mark it"):
        find_reward(written(tmp_path, "LIMIT = 3\n"))


def test_a_missing_file_is_named() -> None:
    with pytest.raises(RewardLoadError, match=r"nowhere\.py: no such file"):
        find_reward("nowhere.py")
