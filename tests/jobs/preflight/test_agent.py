from pathlib import Path
from typing import Any

import pytest

from rayreward.jobs.preflight.agent import check_agent, check_agent_package
from tests.jobs.conftest import build_spec


def agent(environment: str, **keys: Any) -> Any:
    return build_spec(agent={"environment": environment, **keys})


def test_a_training_without_an_agent_has_nothing_to_check() -> None:
    assert [*check_agent(build_spec()), *check_agent_package(build_spec())] == []


def test_an_environment_is_found_without_running_it(tmp_path: Path) -> None:
    (tmp_path / "game.py").write_text("class Game: ...\nraise RuntimeError('was run')\n")

    assert list(check_agent(agent(f"{tmp_path}/game.py::Game"))) == []
    assert list(check_agent(agent("json.decoder:JSONDecoder"))) == []


@pytest.mark.parametrize("content", [None, "class Other: ...", "class Game(:"])
def test_an_environment_that_cannot_load_is_found(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "game.py").write_text(content)

    (finding,) = check_agent(agent(f"{tmp_path}/game.py::Game"))

    assert "game.py" in finding.found
    assert "file.py::Name" in finding.remedy


def test_only_packages_are_looked_for_on_nodes() -> None:
    assert list(check_agent_package(agent("/nowhere/game.py::Game"))) == [], "its file is uploaded"
    assert len(list(check_agent_package(agent("no_such_package.games:Game")))) == 1


def test_turns_that_do_not_fit_are_a_warning() -> None:
    (finding,) = check_agent(agent("json:JSONDecoder", max_turns=4, max_turn_tokens=1024))

    assert finding.is_warning
    assert "4 turns of 1024 tokens do not fit into data.max_len 2048" in finding.found
