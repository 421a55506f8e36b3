from __future__ import annotations

import contextlib
from typing import Any

import pytest

from rayreward.json_text import MAX_CHARS, MalformedJsonError, fenced_blocks, is_deeper, last_object, load_json

MILLION = 1_000_000


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        (" [1, 2.5, null]\n", [1, 2.5, None]),
        ('"x"', "x"),
        ("-3", -3),
        ("[" * 64 + "]" * 64, None),
    ],
)
def test_json_is_read(text: str, value: Any) -> None:
    found = load_json(text)
    assert found == value or value is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no JSON"),
        ("{'a': 1}", "no JSON"),
        ('{"a": 1} x', "more text follows"),
        ('{"a": 1, "a": 2}', "same key twice"),
        ("[NaN]", "NaN is no JSON"),
        ("-Infinity", "-Infinity is no JSON"),
        ("[" * 65 + "]" * 65, "deeper than 64"),
        ("[" * MILLION, "deeper than 64"),
        ('{"a":' * (MILLION // 5), "deeper than 64"),
        ("9" * 100_000, "no JSON"),
        (" " * MILLION, "no JSON"),
        ("<" * MILLION, "no JSON"),
        ('"' + "x" * MAX_CHARS, "are not read|is not read"),
        ('{"\x00": 1}', "no JSON"),
        ('"\ud800', "no JSON"),
    ],
)
def test_what_is_no_json_has_a_reason(text: str, reason: str) -> None:
    with pytest.raises(MalformedJsonError, match=reason):
        load_json(text)


def test_depth_is_found_without_recursion() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    assert is_deeper(value, 1000)
    assert not is_deeper({"a": ({"b": 1},)}, 3)


@pytest.mark.parametrize(
    ("text", "blocks"),
    [
        ("none", []),
        ("```json\n{}\n``` and ```\n[]\n```", [("json", "{}\n"), ("", "[]\n")]),
        ("```JSON \n{", [("json", "{")]),
        ("```{}```", [("", "{}")]),
        ("```", [("", "")]),
    ],
)
def test_fenced_blocks(text: str, blocks: list[tuple[str, str]]) -> None:
    assert [tuple(block) for block in fenced_blocks(text)] == blocks


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'\frac{1}{2}, so {"a": {"b": [1]}} it is', {"a": {"b": [1]}}),
        ('{"a": 1} or { "b": "}" }', {"b": "}"}),
        ('{"a": 1} then {"b": ', {"a": 1}),
        ("{" * 1000 + '{"a": 1}', {"a": 1}),
        ("so {}", {}),
    ],
)
def test_the_last_object_counts(text: str, value: Any) -> None:
    assert last_object(text) == value


@pytest.mark.parametrize(
    "part", [" ", "{", '{"', '{"a":', '{"a":[1,', '"', "{}x", "\\frac{1}{2}", "{\n" * 40, "\ud800", "\x00"]
)
def test_a_million_characters_are_no_hang(part: str) -> None:
    text = part * (MILLION // len(part))
    with contextlib.suppress(MalformedJsonError):
        assert last_object(text) == {}
