"""The reward function as OpenRLHF's executor calls it: from its own threads, one query a call."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rayreward.agents.binding import Binding
from rayreward.trainers.openrlhf import TrainerAnswer
from rayreward.types import FailureKind
from tests.agents.fakes import Engine, FakeScorer, generate_responses

pytestmark = [pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]


def reward_func(scorer: FakeScorer) -> Any:
    from rayreward.agents.reward_func import RewardFunc

    return RewardFunc(Binding(), scorer)


def test_it_answers_in_openrlhf_s_form() -> None:
    answers = {"4": TrainerAnswer(1.0, 1.0, True), "5": TrainerAnswer.filled(0.5, drop=True)}
    result = reward_func(FakeScorer(lambda sample: answers[sample.response]))(
        ["2+2=4", "2+2=5"], ["2+2="] * 2, ["4"] * 2
    )
    assert result["rewards"].tolist() == [1.0, 0.5]
    assert result["scores"][0].item() == 1.0
    assert math.isnan(result["scores"][1].item())
    assert result["extra_logs"]["reward_valid"].tolist() == [1.0, 0.0]


def test_a_sample_that_cannot_be_read_gets_the_policy_s_number() -> None:
    scorer = FakeScorer()
    result = reward_func(scorer)(["\ud800", "ok"], ["", ""], ["", ""])
    assert result["rewards"].tolist() == [0.25, 2.0]
    assert scorer.failed[0][1].kind is FailureKind.INVALID_INPUT


async def test_openrlhf_s_executor_gets_its_rewards_from_it() -> None:
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    executor = SingleTurnAgentExecutor()
    executor.reward_endpoints = ["reward_func.py"]
    executor.reward_func = reward_func(FakeScorer(lambda sample: float(sample.response)))
    engine = Engine(lambda context: context.split()[-1])
    responses = await generate_responses(executor, engine, "say 7", "", count=16)
    assert [response["reward"].tolist() for response in responses] == [[7.0]] * 16
