"""The files that a job uploads, loaded as OpenRLHF loads them: by path, in a process that has the binding."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import rayreward.agents.uploads
from rayreward.agents.binding import VARIABLE, Binding
from rayreward.errors import ConfigError

pytestmark = [pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]

UPLOADS = Path(rayreward.agents.uploads.__file__).parent


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("agent_module", UPLOADS / name)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def binding(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in Binding(environment="tests.agents.worlds:Guess").to_env().items():
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("binding")
@pytest.mark.parametrize("name", ["single_turn.py", "multi_turn.py"])
def test_an_executor_is_made_without_arguments(name: str) -> None:
    from openrlhf.utils.agent import AgentExecutorBase

    executor_class = load(name).AgentExecutor
    assert issubclass(executor_class, AgentExecutorBase)
    assert hasattr(executor_class(), "execute")


@pytest.mark.usefixtures("binding")
def test_a_reward_function_can_be_called() -> None:
    assert callable(load("reward_func.py").reward_func)


@pytest.mark.parametrize("name", ["multi_turn.py", "reward_func.py"])
def test_outside_a_job_loading_says_what_is_missing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(ConfigError, match="RAYREWARD_BINDING is not set"):
        load(name)
