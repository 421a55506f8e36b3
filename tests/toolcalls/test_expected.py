from __future__ import annotations

from typing import Any

import pytest

from rayreward.errors import InvalidInputError
from rayreward.toolcalls import read_expected, read_tools
from rayreward.toolcalls.expected import Wanted, read_call_schema


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        ([{"f": {"a": [1, 2]}}], Wanted((1, 2))),
        ({"f": {"a": [1, ""]}}, Wanted((1, ""), is_optional=True)),
        ([{"f": {"a": []}}], Wanted((), is_optional=True)),
        ([{"f": {"a": 1}}], Wanted((1,))),
        ([{"name": "f", "arguments": {"a": [1]}}], Wanted(([1],))),
        ({"name": "f", "parameters": {"a": 1}}, Wanted((1,))),
        ('[{"f": {"a": [1]}}]', Wanted((1,))),
        ([{"type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}], Wanted((1,))),
    ],
)
def test_labels_of_each_shape(label: Any, wanted: Wanted) -> None:
    [call] = read_expected(label)
    assert (call.name, call.arguments) == ("f", {"a": wanted})


def test_a_tool_may_be_called_name() -> None:
    assert read_expected([{"name": {"a": [1]}}])[0].name == "name"


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "label",
    [
        "no json", 3, [3], [[]], [{}], [{"f": 1}], [{"f": {}, "g": {}}], [{"name": "f", "arguments": [1]}],
        [{"f": {"a": deep(100_000)}}], [{"f": {}}] * 65, True, "{" * 1_000_000,
    ],
)  # fmt: skip
def test_other_labels_are_invalid_input(label: Any) -> None:
    with pytest.raises(InvalidInputError, match="expected call"):
        read_expected(label)


def test_a_call_schema_asks_for_types() -> None:
    call = read_call_schema({"name": "f", "arguments": {"a": {"type": "string"}, "b": {"enum": ["x"]}, "c": None}})
    assert call.arguments["a"] == Wanted(None, schema={"type": "string"})
    assert call.arguments["b"].alternatives == ("x",)
    assert call.arguments["c"].schema == {}
    with pytest.raises(InvalidInputError, match="expected_call_schema"):
        read_call_schema({"arguments": {}})


@pytest.mark.parametrize(
    "tools",
    [
        [{"name": "f", "parameters": {"type": "dict", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}],
        {"function": {"name": "f", "parameters": {"properties": {"a": {"type": "integer"}}, "required": ["a"]}}},
        '[{"name": "f", "parameters": {"properties": {"a": {"type": "integer"}}, "required": ["a"]}}]',
    ],
)  # fmt: skip
def test_tools_of_each_shape(tools: Any) -> None:
    tool = read_tools(tools)["f"]
    assert (tool.properties, tool.required) == ({"a": {"type": "integer"}}, frozenset({"a"}))


@pytest.mark.parametrize("tools", ["{", 3, [3], [{}], [{"name": 3}], [{"function": None}]])
def test_other_tools_are_invalid_input(tools: Any) -> None:
    with pytest.raises(InvalidInputError, match="tool"):
        read_tools(tools)


def test_tools_without_parameters_ask_for_nothing() -> None:
    assert read_tools(None) == {}
    assert (
        read_tools([{"name": "f"}, {"name": "g", "parameters": {"properties": [], "required": "a"}}])["g"].required
        == frozenset()
    )
