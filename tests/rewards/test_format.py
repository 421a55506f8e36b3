from __future__ import annotations

from typing import Any

import pytest

from rayreward import LocalClient
from rayreward.errors import ConfigError
from rayreward.rewards import FormatReward

R1 = ["think", "answer"]


@pytest.mark.parametrize(
    ("options", "response", "score"),
    [
        ({"required_sections": ["Introduction", "Conclusion"]}, "introduction … CONCLUSION", 1.0),
        ({"required_sections": ["Introduction", "Conclusion"]}, "Introduction", 0.5),
        ({"forbidden_patterns": ["I don't know", "As an AI"]}, "as an ai, I can", 0.5),
        ({"forbidden_patterns": [r"\d+"]}, "none", 1.0),
        ({"required_sections": ["A"], "forbidden_patterns": ["x"]}, "x", 0.0),
        ({"pattern": "a.b"}, "a\nb", 1.0),
        ({"pattern": "a.b"}, "A\nb", 0.0),
        ({"pattern": "a.b"}, "a b c", 0.0),
        ({"pattern": "a.b", "match": "search"}, "c a b c", 1.0),
        ({"pattern": "x", "tags": ["a"], "required_sections": ["y", "z"]}, "<a></a> y", 0.5),
    ],
)
def test_is_the_share_of_rules_kept(options: dict[str, Any], response: str, score: float) -> None:
    assert FormatReward(**options)(response=response).score == score


def test_shows_which_rules_were_broken() -> None:
    _, components = FormatReward(["A", "B"], ["x", "y"], pattern="z", tags=["t"])(response="a x")
    assert {name: (metric.score, metric.reason) for name, metric in components.items()} == {
        "sections": (0.5, "missing: B"),
        "forbidden": (0.5, "found: x"),
        "pattern": (0.0, "no match"),
        "tags": (0.0, "wanted <t>, found the end"),
    }


@pytest.mark.parametrize(
    ("response", "fault"),
    [
        ("<think>a</think><answer>b</answer>", None),
        ("So <think>a</think> then <answer>b</answer>!", None),
        ("<think></think><answer></answer>", None),
        ("<think>1 < 2 <b>bold</b> <Answer></think><answer>b</answer>", None),
        ("<think>a</think>", "wanted <answer>, found the end"),
        ("<think>a<answer>b</answer>", "wanted </think>, found <answer>"),
        ("<think>a<answer>b</answer></think>", "wanted </think>, found <answer>"),
        ("<think>a<think>b</think></think><answer>c</answer>", "wanted </think>, found <think>"),
        ("<answer>b</answer><think>a</think>", "wanted <think>, found <answer>"),
        ("<think>a</think><answer>b</answer><answer>c</answer>", "wanted the end, found <answer>"),
        ("<think>a</think><answer>b</answer></answer>", "wanted the end, found </answer>"),
        ("", "wanted <think>, found the end"),
    ],
)
def test_each_tag_is_opened_and_closed_once_and_in_order(response: str, fault: str | None) -> None:
    output = FormatReward(tags=R1)(response=response)
    assert output.metrics["tags"].reason == fault
    assert output.score == float(fault is None)


@pytest.mark.parametrize(
    ("outside", "response", "score"),
    [
        ("any", "a<think>b</think>c<answer>d</answer>e", 1.0),
        ("after", "a<think>b</think><answer>d</answer>e", 0.0),
        ("after", "<think>b</think>c<answer>d</answer>e", 0.0),
        ("after", "\n<think>b</think>\n<answer>d</answer>e", 1.0),
        ("nothing", "<think>b</think><answer>d</answer>e", 0.0),
        ("nothing", " <think>b</think>\u2003<answer>d</answer>\n", 1.0),
        ("nothing", "b</think><answer>d</answer>", 1.0),
    ],
)
def test_text_outside_of_the_tags_can_be_refused(outside: Any, response: str, score: float) -> None:
    assert FormatReward(tags=R1, outside=outside)(response=response).score == score


def test_empty_tags_can_be_refused() -> None:
    reward = FormatReward(tags=R1, allow_empty_tags=False)
    assert reward(response="<think> \n</think><answer>4</answer>").metrics["tags"].reason == "nothing in <think>"
    assert reward(response="</think><answer>4</answer>").metrics["tags"].reason == "nothing in <think>"
    assert reward(response="<think>a</think><answer>4</answer>").score == 1.0


@pytest.mark.parametrize(
    ("prefilled", "prompt", "response", "score"),
    [
        ("auto", "2 + 2?", "a</think>4", 1.0),
        ("auto", "2 + 2?", "<think>a</think>4", 1.0),
        ("auto", "2 + 2?<think>\n", "a</think>4", 1.0),
        ("auto", "2 + 2?<think>\n", "<think>a</think>4", 0.0),
        ("auto", "2 + 2?", "a</think>b<think>4", 0.0),
        (True, "2 + 2?", "a</think>4", 1.0),
        (True, "2 + 2?", "<think>a</think>4", 0.0),
        (False, "2 + 2?<think>\n", "a</think>4", 0.0),
        (False, "2 + 2?<think>\n", "<think>a</think>4", 1.0),
        ("auto", "2 + 2?<think>\n", "a", 0.0),
    ],
)
def test_a_template_may_have_opened_the_thinking(prefilled: Any, prompt: str, response: str, score: float) -> None:
    reward = FormatReward(tags=["think"], prefilled_think=prefilled)
    assert reward(prompt=prompt, response=response).score == score


@pytest.mark.trl
def test_answers_as_trl_does() -> None:
    from trl.rewards import think_format_reward

    responses = [
        "<think>\nThis is my reasoning.\n</think>\nThis is my answer.", "<think>a</think>", "<think></think>b",
        "<think>\nThis is my reasoning.\nThis is my answer.", "a</think>b", "no tags", "", "So <think>a</think>b",
        "<think>a<think>b</think>c", "<think>a</think><think>b</think>", "</think>a<think>", "<THINK>a</THINK>",
    ]  # fmt: skip
    wanted = think_format_reward([[{"content": response}] for response in responses])
    tags = FormatReward(tags=["think"], outside="after", prefilled_think=False)
    pattern = FormatReward(pattern="<think>(?!.*<think>).*?</think>.*")
    assert [tags(response=response).score for response in responses] == wanted
    assert [pattern(response=response).score for response in responses] == wanted


@pytest.mark.parametrize(
    "options",
    [
        {}, {"forbidden_patterns": ["("]}, {"required_sections": "Answer"}, {"required_sections": [3]},
        {"forbidden_patterns": [""]}, {"forbidden_patterns": "x"}, {"pattern": "("}, {"pattern": ""}, {"pattern": 3},
        {"pattern": "x", "match": "all"}, {"tags": "think"}, {"tags": ["<think>"]}, {"tags": ["a", "a"]},
        {"tags": ["a"], "outside": "some"}, {"pattern": "x", "outside": "nothing"},
        {"pattern": "x", "allow_empty_tags": False}, {"tags": ["a"], "prefilled_think": True},
        {"tags": ["think"], "prefilled_think": "yes"},
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        FormatReward(**options)


@pytest.mark.parametrize("option", ["forbidden_patterns", "pattern"])
def test_a_pattern_that_takes_for_ever_is_killed(option: str) -> None:
    evil = "(a+)+$"
    reward = FormatReward(pattern=evil) if option == "pattern" else FormatReward(forbidden_patterns=[evil])
    reward.timeout_s = 1.0
    with LocalClient({"format": reward}) as client:
        slow, fine = client.score([{"response": "a" * 64 + "b"}, {"response": "b"}])
    assert slow.failure is not None
    assert fine.is_valid


@pytest.mark.parametrize("pattern", ["a*", "a+", "a?a", "a{2}", "(a|b)"])
def test_a_pattern_with_more_ways_than_one_runs_where_it_can_be_killed(pattern: str) -> None:
    assert FormatReward(pattern=pattern).isolation == "process"
    assert FormatReward(forbidden_patterns=[pattern]).isolation == "process"
    assert FormatReward(forbidden_patterns=["As an AI"], pattern="a.c", tags=["think"]).isolation == "inline"


@pytest.mark.parametrize("part", ["<", " ", "</", "<think>", "</think>", "<think></think>", "\ud800", "\0", "İ"])
def test_a_million_characters_are_no_hang(part: str) -> None:
    reward = FormatReward(["a"], ["b"], tags=R1, outside="nothing", allow_empty_tags=False)
    response = part * (1_000_000 // len(part))
    assert reward(response=response, prompt=response).is_valid
    assert reward(response=f"<think>{response}</think><answer>{response}</answer>").is_valid
