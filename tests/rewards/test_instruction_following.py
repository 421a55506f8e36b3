from __future__ import annotations

import importlib.util
import json
from typing import Any

import pytest

from rayreward import LocalClient
from rayreward.errors import ConfigError
from rayreward.rewards import InstructionFollowingReward
from rayreward.types import FailureKind

ROW = {
    "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
    "kwargs": [{"num_words": None}, {"num_words": 3, "relation": "at least"}],
}
AS_JSON = {key: json.dumps(value) for key, value in ROW.items()}


@pytest.mark.parametrize(
    "fields",
    [
        {"label": ROW},
        {"label": json.dumps(ROW)},
        {"label": AS_JSON},
        {"metadata": ROW},
        {"metadata": AS_JSON},
        {"metadata": {**ROW, "kwargs": [json.dumps(one) for one in ROW["kwargs"]]}},
        {"metadata": ROW, "label": "some answer"},
        {"metadata": ROW, "label": {"answer": 3}},
    ],
)
def test_a_sample_names_its_instructions_in_label_or_metadata(fields: dict[str, Any]) -> None:
    output = InstructionFollowingReward()(response="one two, three", **fields)
    assert output.score == 0.5
    assert output.reason == "1 of 2 instructions followed (strict)"
    assert output.metrics["punctuation:no_comma"].score == 0.0
    assert output.metrics["punctuation:no_comma"].reason == "1 commas"
    assert output.metrics["length_constraints:number_words"].reason == "3 words; wanted at least 3"


def test_the_rewards_own_instructions_are_for_samples_that_name_none() -> None:
    reward = InstructionFollowingReward(["keywords:existence"], [{"keywords": ["tea"]}])
    assert reward(response="tea").score == 1.0
    assert reward(response="tea", label=ROW).score == 0.5


def test_all_or_nothing() -> None:
    reward = InstructionFollowingReward(score="all")
    assert reward(response="one two, three", label=ROW).score == 0.0
    assert reward(response="one two three", label=ROW).score == 1.0


def test_loosely_an_introduction_does_not_count() -> None:
    label = {"instruction_id_list": ["startend:quotation"]}
    response = 'Sure, here it is:\n"A poem."'
    assert InstructionFollowingReward()(response=response, label=label).score == 0.0
    output = InstructionFollowingReward(mode="loose")(response=response, label=label)
    assert output.score == 1.0
    assert "without the first line" in str(output.metrics["startend:quotation"].reason)


def test_the_answer_alone_can_be_judged() -> None:
    response = "<think>one, two</think>one two three"
    assert InstructionFollowingReward()(response=response, label=ROW).score == 0.5
    assert InstructionFollowingReward(part="answer")(response=response, label=ROW).score == 1.0
    assert InstructionFollowingReward(part="answer")(response="<think>one two three", label=ROW).score == 0.0


def test_an_instruction_may_be_asked_twice() -> None:
    label = {
        "instruction_id_list": ["keywords:existence"] * 3,
        "kwargs": [{"keywords": [word]} for word in ("a", "b", "c")],
    }
    output = InstructionFollowingReward()(response="a c", label=label)
    assert {name: one.score for name, one in output.metrics.items()} == {
        "keywords:existence": 1.0, "keywords:existence#2": 0.0, "keywords:existence#3": 1.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, "'instruction_id_list'"),
        ("4", "'instruction_id_list'"),
        ({"instruction_id_list": ["no:such"]}, "unknown instruction 'no:such'"),
        ({"instruction_id_list": ["keywords:existence"]}, "needs the argument 'keywords'"),
        ({"instruction_id_list": ["punctuation:no_comma"], "kwargs": "{"}, "kwargs must be JSON"),
        ('{"instruction_id_list": ', "the label must be JSON"),
        ({"instruction_id_list": "[" * 100_000}, "must be JSON"),
    ],
)
def test_what_cannot_be_asked_fails_the_sample(label: Any, message: str) -> None:
    failure = InstructionFollowingReward()(response="a", label=label).failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_INPUT
    assert message in failure.message


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "lose"}, {"score": "some"}, {"part": "thinking"}, {"kwargs": [{}]}, {"instruction_id_list": []},
        {"instruction_id_list": ["keywords:existence"]},
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="InstructionFollowingReward"):
        InstructionFollowingReward(**options)


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'rayreward\[verifiers\]'"):
        InstructionFollowingReward()


def test_is_served() -> None:
    with LocalClient({"ifeval": InstructionFollowingReward(mode="loose")}) as client:
        good, bad = client.score([{"response": "one two three", "label": ROW}, {"response": "one"}])
    assert good.score == 1.0
    assert bad.failure is not None
    assert bad.failure.kind is FailureKind.INVALID_INPUT
