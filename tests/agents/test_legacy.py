"""Agents as OpenRLHF's own documentations write them, in OpenRLHF's real loop."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import pytest

from rayreward.agents.binding import Binding
from rayreward.errors import ConfigError
from rayreward.loading import load_object
from rayreward.types import FailureKind
from tests.agents.fakes import Engine, FakeScorer, Letters, generate_responses, in_turns

pytestmark = [pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]

SEEDS = Path(__file__).parents[1] / "seeds"
MATH, TEMPLATE = f"{SEEDS}/agent_func_math.py", f"{SEEDS}/agent_func.py"

TODAYS = """
import torch
from openrlhf.utils.agent import AgentInstanceBase, MultiTurnAgentExecutor

class AgentInstance(AgentInstanceBase):
    def __init__(self, bonus=0.0):
        self.bonus = bonus

    async def step(self, state_dict, **kwargs):
        return {"rewards": torch.tensor(0.5 + self.bonus), "environment_feedback": "", "done": True}

class AgentExecutor(MultiTurnAgentExecutor):
    def __init__(self):
        super().__init__(AgentInstance)

class Needy(MultiTurnAgentExecutor):
    def __init__(self, llm_engine):
        super().__init__(AgentInstance)
"""


def executor(environment: str, scorer: FakeScorer, **binding: Any) -> Any:
    from rayreward.agents.multi_turn import MultiTurnExecutor

    return MultiTurnExecutor(Binding(environment=environment, **{"rewards": "environment", **binding}), scorer)


@pytest.mark.parametrize("name", ["AgentInstance", "AgentExecutor"])
async def test_the_seed_s_math_agent_runs_as_written(name: str) -> None:
    scorer = FakeScorer()
    runner = executor(f"{MATH}::{name}", scorer)
    engine = in_turns("hm", "2+2 = 5", "the answer is 4")
    [response] = await generate_responses(runner, engine, "2+2?", "4", max_length=999)
    assert (response["reward"], response["scores"]) == (1.0, 1.5)
    assert response["extra_logs"] == {"reward_valid": 1.0, "turns": 3.0}
    assert "[NO ANSWER FOUND] Please state the final answer:\n</s>\n\nAssistant: 2+2 = 5" in engine.contexts[2]
    assert (scorer.calls, scorer.failed) == ([], [])


async def test_the_seed_s_math_agent_can_be_scored_by_the_router() -> None:
    scorer = FakeScorer(lambda _: 0.75)
    runner = executor(f"{MATH}::AgentInstance", scorer, rewards="end")
    [response] = await generate_responses(runner, in_turns("the answer is 4"), "2+2?", "4")
    [[sample]] = scorer.calls
    assert (response["reward"], sample.response) == (0.75, "the answer is 4")
    assert sample.metadata["turns"][0]["metadata"] == {
        "step": 1, "correct": True, "attempts": 1, "filter_score": 1.5
    }  # fmt: skip


async def test_the_seed_s_template_runs_when_its_reader_has_written_the_reward() -> None:
    module = sys.modules[load_object(f"{TEMPLATE}::AgentInstance").__module__]
    module.calculate_reward = lambda action, label: float(action == label)  # type: ignore[attr-defined]
    try:
        runner = executor(f"{TEMPLATE}::AgentExecutor", FakeScorer(), max_turns=9)
        [response] = await generate_responses(runner, Engine(lambda _: "4"), "2+2?", "4", max_length=999)
    finally:
        del module.calculate_reward
    assert (response["reward"], len(response["action_ranges"])) == (1.0, 6)
    assert Letters().decode(response["observation_tokens"]).endswith("4\n\n[EPISODE COMPLETE]\n</s>")


async def test_before_that_its_episodes_fail_and_the_training_goes_on() -> None:
    scorer = FakeScorer()
    runner = executor(f"{TEMPLATE}::AgentInstance", scorer, max_turns=9)
    [response] = await generate_responses(runner, Engine(lambda _: "4"), "2+2?", "4", max_length=999)
    [(_, failure)] = scorer.failed
    assert failure.kind is FailureKind.ERROR
    assert "NameError: name 'calculate_reward' is not defined" in failure.message
    assert response["reward"] == 0.25
    assert math.isnan(response["scores"])


class TestTodaysForm:
    @pytest.fixture
    def file(self, tmp_path: Path) -> str:
        path = tmp_path / "agent.py"
        path.write_text(TODAYS)
        return str(path)

    async def test_an_instance_is_played_with_its_arguments(self, file: str) -> None:
        runner = executor(f"{file}::AgentInstance", FakeScorer(), args={"bonus": 0.25})
        [response] = await generate_responses(runner, in_turns("x"), "p", "")
        assert response["reward"] == 0.75

    async def test_an_executor_is_used_as_it_is(self, file: str) -> None:
        from rayreward.agents.choose import executor_class

        found = executor_class(Binding(environment=f"{file}::AgentExecutor"))
        assert found is load_object(f"{file}::AgentExecutor")
        [response] = await generate_responses(Unshared(found()), in_turns("x"), "p", "")
        assert response["reward"] == 0.5

    def test_an_old_executor_needs_an_instance_beside_it(self, file: str) -> None:
        path = Path(file)
        path.write_text(TODAYS.replace("AgentInstance(", "Another(").replace("(AgentInstance)", "(Another)"))
        with pytest.raises(ConfigError, match="name the class of the agent instance"):
            executor(f"{file}::Needy", FakeScorer())


class Unshared:
    """OpenRLHF's own executor writes into the parameters that it is given."""

    def __init__(self, executor: Any) -> None:
        self._executor = executor

    async def execute(self, *, sampling_params: Any, **rest: Any) -> Any:
        from copy import deepcopy

        return await self._executor.execute(sampling_params=deepcopy(sampling_params), **rest)


@pytest.mark.parametrize(
    ("returned", "message"),
    [("None", "step must return a dict with rewards, environment_feedback, done"), ("{'rewards': 1}", "done, found")],
)
async def test_what_an_instance_returns_by_mistake_fails_its_episode(
    tmp_path: Path, returned: str, message: str
) -> None:
    path = tmp_path / "agent.py"
    path.write_text(
        "from openrlhf.utils.agent import AgentInstanceBase\n"
        "class AgentInstance(AgentInstanceBase):\n"
        "    def __init__(self): pass\n"
        f"    async def step(self, states): return {returned}\n"
    )
    scorer = FakeScorer()
    await generate_responses(executor(f"{path}::AgentInstance", scorer), in_turns("x"), "p", "")
    [(_, failure)] = scorer.failed
    assert failure.kind is FailureKind.INVALID_OUTPUT
    assert message in failure.message
