from __future__ import annotations

from typing import Any

import pytest

from rayreward.toolcalls.values import Rules, fits_alternative, fits_type, is_accepted

BFCL = Rules(nests_alternatives=True)
FLEXIBLE = Rules(reads_across_types=True)


@pytest.mark.parametrize(
    ("value", "alternatives", "schema"),
    [
        ("New York", ["new-york, "], {}),
        ("it's", ['it"s'], {}),
        ("", ["", "a"], {}),
        ("", [""], {}),
        (5, [4, 5], {"type": "integer"}),
        (5, [5.0], {}),
        (5, [5.0], {"type": "float"}),
        (5.0, [5], {"type": "float"}),
        (0.0, [0], {"type": "number"}),
        (True, [True, ""], {"type": "boolean"}),
        (None, ["", None], {"type": "string"}),
        ([1, 2], [[2, 1], [1, 2]], {"type": "array", "items": {"type": "integer"}}),
        ([1.0], [[1]], {"type": "array", "items": {"type": "float"}}),
        ([[1], ["A b"]], [[[1], ["ab"]]], {}),
        (["apple"], [["apple"]], {"type": "array", "items": {"type": "integer"}}),
        ([], [[]], {}),
        ({"a": "X", "b": 1}, [{"a": ["x"], "b": [1, 2], "c": ["", 3]}], {"type": "dict"}),
        ([{"a": 1}, {"a": 2}], [[{"a": [1]}, {"a": [2, 3]}]], {"type": "array", "items": {"type": "dict"}}),
        ({"a": [1, 2]}, [{"a": [[1, 2]]}], {}),
        ({}, [{"a": [""]}], {}),
    ],
)
def test_these_are_accepted(value: Any, alternatives: list[Any], schema: dict[str, Any]) -> None:
    assert is_accepted(value, alternatives, schema, BFCL)


@pytest.mark.parametrize(
    ("value", "alternatives", "schema"),
    [
        ("new yorks", ["New York"], {}),
        ("", [5, ""], {}),
        ("", [True, ""], {"type": "boolean"}),
        (True, [1], {}),
        (1, [True], {}),
        (0, [False], {}),
        (1.0, [True], {"type": "float"}),
        (5.0, [5], {"type": "integer"}),
        (5.0, [5], {}),
        ("5", [5], {}),
        (5, ["5"], {}),
        ("true", [True], {}),
        (None, [False, "", "null"], {}),
        ([1], [[True]], {}),
        ([2, 1], [[1, 2]], {}),
        ([1, 2, 2], [[1, 2]], {}),
        ([], [[1], ""], {}),
        (1, [[1]], {}),
        ([1], [1], {}),
        ({"a": 1, "x": 1}, [{"a": [1]}], {}),
        ({}, [{"a": [1]}], {}),
        ({"a": 2}, [{"a": [1]}], {}),
        ([{"a": 1}], [[{"a": [1]}, {"a": [1]}]], {}),
        ([{"a": 2}, {"a": 1}], [[{"a": [1]}, {"a": [2]}]], {}),
        ("{'a': 1}", [{"a": [1]}], {}),
        (float("nan"), [1.0], {}),
    ],
)
def test_these_are_not(value: Any, alternatives: list[Any], schema: dict[str, Any]) -> None:
    assert not is_accepted(value, alternatives, schema, BFCL)


def test_plain_values_inside_a_dict_are_themselves() -> None:
    assert is_accepted({"a": [1, 2]}, [{"a": [1, 2]}], {}, Rules())
    assert not is_accepted({"a": 1}, [{"a": [1, 2]}], {}, Rules())


def test_texts_can_be_compared_exactly() -> None:
    assert is_accepted("-5", ["5"], {}, Rules())
    assert not is_accepted("-5", ["5"], {}, Rules(exact_texts=True))


@pytest.mark.parametrize(
    ("value", "wanted", "is_same"),
    [
        ("5", 5, True), (5, "5", True), (5.0, 5, True), ("5.0", 5, True), ("true", True, True), (True, "True", True),
        ("null", None, True), ("x", 5, False), ("1", True, False), (1, True, False), ("[1]", [1], False),
        ("1" * 99, 1, False),
    ],
)  # fmt: skip
def test_flexible_values_read_across_types(value: Any, wanted: Any, is_same: bool) -> None:
    assert is_accepted(value, [wanted], {}, FLEXIBLE) is is_same


@pytest.mark.parametrize(
    ("value", "schema", "fits"),
    [
        (1, {"type": "integer"}, True), (1.0, {"type": "integer"}, False), (True, {"type": "integer"}, False),
        (1, {"type": "number"}, True), (True, {"type": "float"}, False), (True, {"type": "boolean"}, True),
        (1, {"type": "boolean"}, False), ("a", {"type": ["string", "null"]}, True),
        (None, {"type": ["string", "null"]}, True), ([1], {"type": "array", "items": {"type": "integer"}}, True),
        (["a"], {"type": "tuple", "items": {"type": "float"}}, False),
        ({}, {"type": "dict"}, True), ({}, {"type": "object"}, True), (1, {"type": "any"}, True), (1, {}, True),
        (1, {"type": "unheard of"}, True), (1, {"type": 5}, True), ([1], {"type": "array", "items": 3}, True),
    ],
)  # fmt: skip
def test_types(value: Any, schema: dict[str, Any], fits: bool) -> None:
    assert fits_type(value, schema) is fits


def test_without_a_schema_the_type_is_that_of_what_is_accepted() -> None:
    assert fits_alternative(1, [2.0, ""])
    assert fits_alternative("a", [""])
    assert not fits_alternative(True, [1])
