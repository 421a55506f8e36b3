"""OpenRLHF's real single-turn machinery, scored by a scorer of the test."""

from __future__ import annotations

import asyncio
import json
import math
from typing import Any

import pytest

from rayreward.agents.binding import Binding
from rayreward.sample import Sample
from rayreward.trainers.openrlhf import TrainerAnswer, decode_request
from rayreward.types import FailureKind
from tests.agents.fakes import END, Engine, FakeScorer, Letters, generate_responses, in_turns, params

pytestmark = [pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]


def executor(scorer: FakeScorer) -> Any:
    from rayreward.agents.single_turn import SingleTurnExecutor

    return SingleTurnExecutor(Binding(), scorer)


def fields(sample: Sample) -> tuple[Any, ...]:
    return sample.prompt, sample.response, sample.label, sample.metadata


@pytest.mark.parametrize(("label", "ends"), [("4", True), ("", False), (None, False)])
async def test_the_sample_is_the_one_that_the_http_request_would_have_made(label: Any, ends: bool) -> None:
    scorer = FakeScorer()
    [response] = await generate_responses(executor(scorer), Engine(lambda _: "#### 4", ends=ends), "2 + 2? ", label)
    query = "2 + 2? #### 4" + (END if ends else "")
    assert Letters().decode(response["observation_tokens"]) == query
    body = {"query": [query], "prompts": ["2 + 2? "], "labels": [label]}
    [expected] = decode_request(json.dumps(body).encode()).items
    [[sample]] = scorer.calls
    assert isinstance(expected, Sample)
    assert fields(sample) == fields(expected)


async def test_a_response_carries_the_answer_as_openrlhf_reads_it() -> None:
    scorer = FakeScorer(lambda _: TrainerAnswer.filled(0.5, drop=True))
    [response] = await generate_responses(executor(scorer), in_turns("no"), "p", "l", sampling_params=params(16, 1))
    assert response["reward"] == 0.5
    assert math.isnan(response["scores"])
    assert response["extra_logs"] == {"reward_valid": 0.0}
    assert response["rollout_log_probs"] == [0.0, -0.5, -0.5]
    assert response["action_ranges"] == [(1, 3)]


async def test_the_samples_of_a_prompt_know_their_group_and_its_size() -> None:
    scorer, engine = FakeScorer(), Engine(lambda _: "x")
    runner = executor(scorer)
    await asyncio.gather(
        generate_responses(runner, engine, "prompt one", "", count=3),
        generate_responses(runner, engine, "prompt two", "", count=2),
    )
    samples = [sample for call in scorer.calls for sample in call]
    sizes = {sample.group_id: sample.group_size for sample in samples}
    assert sorted(sizes.values(), key=int) == [2, 3]
    assert len({sample.group_id for sample in samples if sample.prompt == "prompt one"}) == 1


async def test_256_executions_at_once_each_get_their_own_answer() -> None:
    scorer, engine = FakeScorer(lambda sample: float(sample.response)), Engine(lambda context: context.split()[-1])
    runner = executor(scorer)
    groups = await asyncio.gather(
        *(generate_responses(runner, engine, f"say {number}", "", count=8) for number in range(32))
    )
    assert [[response["reward"] for response in group] for group in groups] == [[float(at)] * 8 for at in range(32)]
    assert len(scorer.calls) == 256


async def test_a_label_that_cannot_travel_fails_its_own_sample() -> None:
    nested: list[Any] = []
    nested.append(nested)
    scorer = FakeScorer()
    [response] = await generate_responses(executor(scorer), in_turns("4"), "p", nested)
    assert (response["reward"], scorer.calls) == (0.25, [])
    assert scorer.failed[0][1].kind is FailureKind.INVALID_INPUT


async def test_an_engine_s_error_is_everybody_s() -> None:
    def dies(_: str) -> str:
        raise RuntimeError("the engine died")

    with pytest.raises(RuntimeError, match="the engine died"):
        await generate_responses(executor(FakeScorer()), Engine(dies), "p", "l", count=2)
