from __future__ import annotations

import json
from typing import Any

import pytest

from rayreward.errors import InvalidInputError
from rayreward.programs.cases import CallCase, StdioCase, read_tests

APPS = {"inputs": ["1\n", "2\n"], "outputs": ["2\n", "4\n"]}
TWICE = (StdioCase("1\n", "2\n"), StdioCase("2\n", "4\n"))


@pytest.mark.parametrize(
    "label",
    [
        APPS,
        json.dumps(APPS),
        {"input_output": json.dumps(APPS)},
        [{"input": "1\n", "output": "2\n"}, {"input": "2\n", "output": "4\n", "testtype": "stdin"}],
        [{"input": "1\n", "expected_output": "2\n"}, {"input": ["2"], "expected": ["4"]}],
        {"tests": [{"input": "1\n", "output": "2\n"}, {"input": "2\n", "output": "4\n"}]},
        {"public_test_cases": json.dumps([{"input": "1\n", "output": "2\n"}, {"input": "2\n", "output": "4\n"}])},
    ],
)
def test_input_and_output_in_all_their_spellings(label: Any) -> None:
    assert read_tests(label, {}).stdio == TWICE
    if isinstance(label, dict):
        assert read_tests(None, label).stdio == TWICE


def test_calls_by_name() -> None:
    label = [{"function": "add", "args": [1], "kwargs": {"b": 2}, "expected": 3}]
    assert read_tests(label, {}).calls == (CallCase("add", (1,), {"b": 2}, (3,)),)
    assert read_tests([{"args": [1, 2], "expected": 3}], {"entry_point": "add"}).calls[0].function == "add"


def test_calls_as_apps_and_taco_write_them() -> None:
    label = {"fn_name": "add", "inputs": [[1, 2], [[1], [2]]], "outputs": [3, [[1, 2]]]}
    first, second = read_tests(label, {}).calls
    assert (first.args, first.accepted) == ((1, 2), (3,))
    assert (second.args, second.accepted) == (([1], [2]), ([[1, 2]], [1, 2]))


def test_calls_as_livecodebench_writes_them() -> None:
    case = {"input": "[1, 2]\n3", "output": "[4]", "testtype": "functional"}
    for label, metadata in (([case], {"func_name": "go"}), ({"tests": [case], "metadata": '{"func_name": "go"}'}, {})):
        assert read_tests(label, metadata).calls == (CallCase("go", ([1, 2], 3), {}, ([4],)),)


def test_asserts_in_all_their_spellings() -> None:
    texts = ["assert add(1, 2) == 3", "assert add(1, 1) == 2"]
    for label in (texts, json.dumps(texts), {"test_list": texts}, {"tests": texts}, "\n".join(texts)):
        asserts = read_tests(label, {}).asserts
        assert asserts is not None
        assert (asserts.count, asserts.names) == (2, ("add",))
    module = "def check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate(1, 1) == 2\n"
    for label, metadata in (({"test": module, "entry_point": "add"}, {}), (module, {"entry_point": "add"})):
        assert read_tests(label, metadata).count == 2


@pytest.mark.parametrize(
    ("label", "metadata", "named"),
    [
        (None, {}, "the label is missing"),
        (None, {"test_list": []}, r"metadata\['test_list'\] must be a list of asserts, found \[\]"),
        ("", {}, "label holds no test"),
        (5, {}, "label must hold tests .* found 5"),
        ([], {}, "label holds no test"),
        ({}, {}, "label has none of the keys test_list"),
        ({"test": 3}, {}, r"label\['test'\] must be a test module, found 3"),
        ({"test": "def check(candidate): assert candidate()"}, {}, "needs entry_point"),
        ({"test": "def check(: pass", "entry_point": "f"}, {}, r"label\['test'\] is no Python"),
        ({"test_list": ["assert"]}, {}, r"label\['test_list'\]\[0\] is no Python"),
        ({"test_list": ["assert f() == 1", None]}, {}, r"label\['test_list'\]\[1\] must be an assert's text"),
        ({"test_list": ["assert f()"], "test_setup_code": 3}, {}, "test_setup_code must be a text"),
        ({"test_list": ["assert f()"], "entry_point": "a b"}, {}, "entry_point must name a function"),
        (["x = f(1)"], {}, "holds no assert"),
        (["assert True"], {}, "calls nothing: give entry_point"),
        (["assert set(sum(1)) == 2"], {}, "calls set, sum: give entry_point"),
        ("{", {}, "looks like JSON and is none"),
        ("[" * 100_000, {}, "looks like JSON and is none"),
        ([{"input": "1"}], {}, r"label\[0\] has neither 'output' nor 'expected'"),
        ([{"input": 1, "output": "1"}], {}, r"label\[0\]\['input'\] must be a text"),
        ([{"input": "1", "output": "1"}, 7], {}, r"label\[1\] must be a case"),
        ([{"input": "1", "output": "1"}, {"function": "f", "expected": 1}], {}, "mixes calls and standard input"),
        ([{"args": [1], "expected": 1}], {}, r"label\[0\]\['function'\] must name a function"),
        ([{"function": "f", "args": "ab", "expected": 1}], {}, r"label\[0\]\['args'\] must be a list"),
        ([{"function": "import os", "args": [], "expected": 1}], {}, r"label\[0\]\['function'\] must name a function"),
        ([{"function": "f", "kwargs": [1], "expected": 1}], {}, r"label\[0\]\['kwargs'\] must be a dict"),
        ({"inputs": ["1"], "outputs": []}, {}, "as many outputs as inputs, found 1 inputs and 0 outputs"),
        ({"inputs": "1", "outputs": ["1"]}, {}, r"label\['inputs'\] must be a list"),
        ({"inputs": ["1"], "outputs": None}, {}, r"label\['outputs'\] must be a list"),
        ({"inputs": ["1"], "outputs": ["1"], "fn_name": "f"}, {}, r"label\['inputs'\]\[0\] must be a list of arg"),
        ([{"input": "[1", "output": "1", "fn_name": "f"}], {}, "arguments and value must be JSON"),
    ],
)
def test_malformed_tests_are_named(label: Any, metadata: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        read_tests(label, metadata)
