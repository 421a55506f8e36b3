from __future__ import annotations

from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.rewards import TagCountReward

WELL_FORMED = "<think>\n2 + 2\n</think>\n<answer>\n4\n</answer>"


@pytest.mark.parametrize(
    ("options", "response", "score"),
    [
        ({}, WELL_FORMED, 1.0),
        ({}, "<think>2 + 2</think> <answer>4</answer>", 1.0),
        ({}, "<think>2 + 2</think> <answer>4", 0.75),
        ({}, "2 + 2</think> <answer>4", 0.5),
        ({}, "<think><think></think></think>", 0.0),
        ({}, "</answer></think><answer><think>", 1.0),
        ({}, "<THINK>", 0.0),
        ({}, "", 0.0),
        ({"tags": ["sql"]}, "<sql>select 1</sql>", 1.0),
        ({"tags": ["a", "b", "c"]}, "<a></a><b></b><b>", 0.5),
    ],
)
def test_each_tag_that_occurs_once_has_its_share(options: dict[str, Any], response: str, score: float) -> None:
    assert TagCountReward(**options)(response=response).score == pytest.approx(score)


def test_says_which_tags_are_at_fault() -> None:
    output = TagCountReward()(response="<think>a<think></think><answer>")
    assert output.reason == "<think> 2 times, </answer> 0 times"
    assert TagCountReward()(response=WELL_FORMED).reason == "each tag once"


@pytest.mark.parametrize(
    ("response", "score"),
    [
        (WELL_FORMED, 1.0),
        ("So:\n" + WELL_FORMED + " Done.", 1.0),
        ("<think>2 + 2</think>\n<answer>4</answer>", 0.0),
        ("<think>\n2 + 2</think>\n<answer>\n4</answer>", 0.5),
        ("<think>\n2 + 2\n</think>\n\n<answer>\n4\n</answer>\n</answer>", 0.75),
        ("<think>\n2 + 2\n</think>\n", 0.5),
    ],
)
def test_on_their_own_lines_they_count_as_in_open_r1(response: str, score: float) -> None:
    assert TagCountReward(own_lines=True)(response=response).score == score
    counts = [
        response.count(tag) == 1 for tag in ("<think>\n", "\n</think>\n", "\n<answer>\n", "\n</answer>")
    ]  # what open-r1 adds up, a quarter each
    assert sum(counts) / 4 == score


@pytest.mark.parametrize("own_lines", [False, True])
@pytest.mark.parametrize(
    ("prefilled", "prompt", "score"),
    [
        ("auto", "2 + 2?<think>\n", 1.0), ("auto", "2 + 2?", 0.75), (True, "2 + 2?", 1.0),
        (False, "2 + 2?<think>\n", 0.75),
    ],
)  # fmt: skip
def test_a_template_may_have_opened_the_thinking(prefilled: Any, prompt: str, score: float, own_lines: bool) -> None:
    reward = TagCountReward(prefilled_think=prefilled, own_lines=own_lines)
    assert reward(prompt=prompt, response=WELL_FORMED.removeprefix("<think>\n")).score == score


@pytest.mark.parametrize(
    "options",
    [
        {"tags": []}, {"tags": "think"}, {"tags": ["<think>"]}, {"tags": ["a", "a"]}, {"tags": [3]},
        {"tags": ["a"], "prefilled_think": True}, {"prefilled_think": 1},
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        TagCountReward(**options)


@pytest.mark.parametrize("part", ["<", " ", "\n", "<think>", "</think>\n", "\ud800", "\0"])
def test_a_million_characters_are_no_hang(part: str) -> None:
    response = part * (1_000_000 // len(part))
    for own_lines in (False, True):
        assert TagCountReward(own_lines=own_lines)(prompt=response, response=response).is_valid
