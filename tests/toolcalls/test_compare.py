from __future__ import annotations

from typing import Any

import pytest

from rayreward.toolcalls import Strictness, ToolCall, compare_calls, read_expected, read_tools

TOOLS = read_tools(
    [
        {"name": "geo.find", "parameters": {"properties": {"city": {"type": "string"}}, "required": ["city"]}},
        {
            "name": "f",
            "parameters": {"properties": {"a": {"type": "float"}, "b": {"type": "string"}}, "required": ["a"]},
        },
    ]
)


def call(name: str, /, **arguments: Any) -> ToolCall:
    return ToolCall(name, arguments)


@pytest.mark.parametrize(
    ("calls", "label"),
    [
        ([call("f", a=1)], [{"f": {"a": [1.0, 2.0], "b": ["x", ""]}}]),
        ([call("f", a=2.0, b="X ")], [{"f": {"a": [1, 2], "b": ["x", ""]}}]),
        ([call("geo_find", city="Rome")], [{"geo.find": {"city": ["Rome"]}}]),
        ([call("f", a=2), call("f", a=1)], [{"f": {"a": [1]}}, {"f": {"a": [2]}}]),
        ([call("f", a=1), call("f", a=1)], [{"f": {"a": [1]}}, {"f": {"a": [1]}}]),
        # Taking the first that fits would leave the second expected call without one.
        ([call("f", a=1), call("f", a=2)], [{"f": {"a": [1, 2]}}, {"f": {"a": [1]}}]),
        ([], []),
        ([call("g", x={"y": 1})], [{"name": "g", "arguments": {"x": {"y": 1}}}]),
    ],
)
def test_accepted(calls: list[ToolCall], label: Any) -> None:
    compared = compare_calls(calls, read_expected(label), TOOLS)
    assert compared.is_accepted
    assert (compared.name, compared.argument_names, compared.argument_values, compared.types) == (1, 1, 1, 1)
    assert compared.problems == ()


@pytest.mark.parametrize(
    ("calls", "label", "shares", "problem"),
    [
        ([call("f", a=3)], [{"f": {"a": [1]}}], (1, 1, 0, 1), "f: a has another value"),
        ([call("f", a="1")], [{"f": {"a": [1]}}], (1, 1, 0, 0), "f: a has another value"),
        ([call("f", a=1)], [{"f": {"a": [1], "b": ["x"]}}], (1, 0.5, 0.5, 0.5), "f: b is missing"),
        ([call("f")], [{"f": {"a": [1, ""]}}], (1, 0, 0, 0), "f: a is missing"),
        ([call("f", a=1, z=2)], [{"f": {"a": [1]}}], (1, 0.5, 0.5, 0.5), "f: z is not asked for"),
        ([call("g", a=1)], [{"f": {"a": [1]}}], (0, 0, 0, 0), "no call of f"),
        ([call("f", a=1)], [{"f": {"a": [1]}}, {"f": {"a": [2]}}], (0.5, 0.5, 0.5, 0.5), "no call of f"),
        ([call("f", a=1), call("f", a=1)], [{"f": {"a": [1]}}], (0.5, 0.5, 0.5, 0.5), "a call of f too many"),
        ([call("f", a=1)], [], (0, 0, 0, 0), "a call of f too many"),
        ([], [{"f": {}}], (0, 0, 0, 0), "no call of f"),
        ([call("F", a=1)], [{"f": {"a": [1]}}], (0, 0, 0, 0), "no call of f"),
    ],
)
def test_refused_with_what_is_right_of_it(
    calls: list[ToolCall], label: Any, shares: tuple[float, ...], problem: str
) -> None:
    compared = compare_calls(calls, read_expected(label), TOOLS)
    assert not compared.is_accepted
    assert (compared.name, compared.argument_names, compared.argument_values, compared.types) == shares
    assert problem in compared.problems


def test_the_best_of_the_rest_is_matched() -> None:
    calls = [call("f", a=9, b="x"), call("f", a=9, b="q")]
    expected = read_expected([{"f": {"a": [1], "b": ["q"]}}, {"f": {"a": [1], "b": ["x"]}}])
    assert compare_calls(calls, expected).argument_values == 0.5


def test_dots_and_underscores_are_told_apart_where_both_exist() -> None:
    tools = read_tools([{"name": "geo.find"}, {"name": "geo_find"}])
    assert not compare_calls([call("geo_find")], read_expected([{"geo.find": {}}]), tools).is_accepted


@pytest.mark.parametrize(
    ("strictness", "given", "is_accepted"),
    [
        ("exact", call("f", a=1, z=2), False),
        ("permissive", call("f", a=1, z=2), True),
        ("permissive", call("f", z=2), False),
        ("permissive", call("f", a="1"), False),
        ("flexible", call("f", a=1, z=2), True),
        ("flexible", call("f", a="1"), True),
        ("flexible", call("f", a="2"), False),
        ("flexible", call("f"), False),
    ],
)
def test_strictness(strictness: Strictness, given: ToolCall, is_accepted: bool) -> None:
    compared = compare_calls([given], read_expected([{"f": {"a": [1]}}]), strictness=strictness)
    assert compared.is_accepted is is_accepted


def test_flexible_shows_the_surplus_and_the_type() -> None:
    compared = compare_calls([call("f", a="1", z=2)], read_expected([{"f": {"a": [1]}}]), strictness="flexible")
    assert (compared.argument_names, compared.argument_values, compared.types) == (0.5, 0.5, 0)


def test_many_calls_are_matched() -> None:
    calls = [call("f", a=number) for number in range(64)]
    expected = read_expected([{"f": {"a": list(range(number, 64))}} for number in range(64)])
    assert compare_calls(calls[::-1], expected).is_accepted
