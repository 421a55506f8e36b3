from __future__ import annotations

import math
from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.rewards import KeywordReward


@pytest.mark.parametrize(
    ("options", "response", "score"),
    [
        ({"required_keywords": ["because", "so"]}, "BECAUSE it is, so", 1.0),
        ({"required": ["because", "so"]}, "also because", 0.5),
        ({"required": ["because"], "required_keywords": ["so"]}, "so", 0.5),
        ({"required": ["c++", "(a)"]}, "c++ (a)", 1.0),
        ({"required": ["a"], "bonus_keywords": ["b"], "penalty_keywords": ["c"]}, "a b", 1.0),
        ({"required": ["a"], "penalty_keywords": ["c", "d"]}, "a c d", 0.8),
        ({"bonus_keywords": ["b"]}, "b", 0.6),
        ({"penalty_keywords": ["c"], "penalty_weight": 3}, "c", 0.0),
        ({"required": ["a"]}, "", 0.0),
        ({"required": ["straße"]}, "STRASSE", 1.0),
        ({"required": ["a"]}, "ab a_b aa", 0.0),
    ],
)
def test_counts_whole_words(options: dict[str, Any], response: str, score: float) -> None:
    assert KeywordReward(**options)(response=response).score == pytest.approx(score)


@pytest.mark.parametrize(
    ("options", "response", "score"),
    [
        ({"required": ["a", "b"], "require": "all"}, "b, a", 1.0),
        ({"required": ["a", "b"], "require": "all"}, "a", 0.0),
        ({"required": ["a", "b"], "require": "any"}, "b", 1.0),
        ({"required": ["a", "b"], "require": "any"}, "c", 0.0),
        ({"forbidden_keywords": ["a"]}, "b", 1.0),
        ({"forbidden_keywords": ["a"]}, "b A", 0.0),
        ({"required": ["a"], "bonus_keywords": ["b"], "forbidden_keywords": ["c"]}, "a b c", 0.0),
        ({"required": ["act"], "whole_words": False}, "a fact", 1.0),
        ({"required": ["Act"], "ignore_case": False}, "act", 0.0),
        ({"required": ["Act"], "ignore_case": False}, "Act", 1.0),
    ],
)
def test_all_any_none_parts_of_words_and_case(options: dict[str, Any], response: str, score: float) -> None:
    assert KeywordReward(**options)(response=response).score == score


@pytest.mark.parametrize(
    ("counts", "response", "score"),
    [
        ({"a": 2}, "a A", 1.0),
        ({"a": 2}, "a ab", 0.0),
        ({"a": [1, 2]}, "a a", 1.0),
        ({"a": [1, 2]}, "a a a", 0.0),
        ({"a": [1, 2]}, "", 0.0),
        ({"a": (0, 0)}, "b", 1.0),
        ({"a": [0, 0]}, "a", 0.0),
        ({"a": 1, "b": 1}, "b", 0.5),
    ],
)
def test_a_keyword_may_have_to_occur_some_times(counts: dict[str, Any], response: str, score: float) -> None:
    assert KeywordReward(counts=counts)(response=response).score == score
    assert KeywordReward(counts=counts, whole_words=False)(response=response.replace("ab", "")).score == score


def test_shows_what_it_found() -> None:
    _, components = KeywordReward(["a", "z"], ["b"], ["c"])(response="a c")
    assert components["required"].reason == "found: a"
    assert components["bonus"].reason == "found: none"
    assert components["penalty"].score == pytest.approx(-0.1)


@pytest.mark.parametrize(
    "options",
    [
        {}, {"required": "because"}, {"required": [""]}, {"required_keywords": [42]}, {"bonus_keywords": "a"},
        {"forbidden_keywords": "a"}, {"required": 3}, {"required": ["a"], "require": "most"}, {"counts": ["a"]},
        {"counts": {"a": "2"}}, {"counts": {"a": -1}}, {"counts": {"a": [2, 1]}}, {"counts": {"a": [1, 2, 3]}},
        {"counts": {"a": True}}, {"counts": {"": 1}}, {"counts": {"a": []}}, {"required": ["a" * 201]},
        {"required": [str(number) for number in range(1_001)]}, {"bonus_keywords": ["a"], "bonus_weight": math.nan},
        {"penalty_keywords": ["a"], "penalty_weight": "1"},
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        KeywordReward(**options)


def test_many_keywords_run_where_they_can_be_killed() -> None:
    words = [str(number) for number in range(33)]
    assert KeywordReward(words[1:]).isolation == "inline"
    assert KeywordReward(words).isolation == "process"


@pytest.mark.parametrize("part", ["<", " ", "a", "a ", "a_", "<think>", "\ud800", "\0", "İ"])
def test_a_million_characters_are_no_hang(part: str) -> None:
    response = part * (1_000_000 // len(part))
    for options in ({}, {"whole_words": False}, {"ignore_case": False}):
        reward = KeywordReward(["a", "a" * 200, part], counts={"a": [1, 3]}, forbidden_keywords=[part * 20], **options)
        assert reward(response=response).is_valid


@pytest.mark.parametrize(
    ("keyword", "response", "score"),
    [
        ("\u4e2d\u6587", "\u6211\u8bf4\u4e2d\u6587\u5417", 1.0),
        ("GPT", "\u4f7f\u7528GPT\u6a21\u578b", 1.0),
        ("GPT", "\u4f7f\u7528GPTs\u6a21\u578b", 0.0),
        ("\u0e44\u0e21\u0e49", "\u0e21\u0e35\u0e44\u0e21\u0e49\u0e2d\u0e22\u0e39\u0e48", 1.0),
        ("tea", "teas", 0.0),
        ("\u0447\u0430\u0439", "\u0447\u0430\u0439\u043a\u0430", 0.0),
    ],
)
def test_words_end_where_their_script_has_spaces(keyword: str, response: str, score: float) -> None:
    assert KeywordReward([keyword])(response=response).score == score
