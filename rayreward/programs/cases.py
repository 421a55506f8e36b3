"""Tests as values, read from what data sets hold.

What arrives: a sample's label, or its metadata where the label is None: a dict, a list, or JSON of one. What leaves:
`Tests`, or an `InvalidInputError` that names the key and says what was found there. Read are

* asserts: ``["assert add(1, 2) == 3", …]``, also under ``test_list`` with ``test_setup_code`` (MBPP), a test module
  with ``check(candidate)`` and ``entry_point`` (HumanEval; its ``prompt`` gives the helpers that the tests use);
* stdin and stdout: ``[{"input": …, "output": …}]`` (LiveCodeBench), ``{"inputs": […], "outputs": […]}`` (APPS, TACO);
* calls: ``[{"function": …, "args": […], "kwargs": {…}, "expected": …}]``, and the two forms above with ``fn_name``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayreward.errors import InvalidInputError, shown
from rayreward.programs.assertions import Assertions, split_asserts


@dataclass(frozen=True, slots=True)
class StdioCase:
    """What a program reads and what it should print."""

    stdin: str
    expected: str


@dataclass(frozen=True, slots=True)
class CallCase:
    """A call and the values any of which it should return."""

    function: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    accepted: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Tests:
    """The tests of one sample: cases of one kind, or asserts."""

    __test__ = False  # pytest would collect it

    stdio: tuple[StdioCase, ...] = ()
    calls: tuple[CallCase, ...] = ()
    asserts: Assertions | None = None

    @property
    def count(self) -> int:
        """How many tests they are."""
        return len(self.stdio) + len(self.calls) + (0 if self.asserts is None else self.asserts.count)


_CASE_KEYS = ("test_cases", "tests", "input_output", "public_test_cases", "private_test_cases", "cases", "ground_truth")
"""Keys that hold cases or a test module; looked at in this order after those with one meaning."""

_FUNCTION_KEYS = ("fn_name", "func_name", "function", "entry_point")

_MAX_TEST_CHARS = 64 * 2**20
"""Characters of JSON that are read as tests; a row of LiveCodeBench holds up to some ten million."""


def read_tests(label: Any, metadata: Mapping[str, Any]) -> Tests:
    r"""The tests of a sample.

    Raises:
        InvalidInputError: there are none, or they are malformed.

    Example:
        >>> read_tests([{"input": "1\n", "output": "2\n"}], {}).stdio
        (StdioCase(stdin='1\n', expected='2\n'),)
    """
    if label is None:
        known = ("test_list", "test", "inputs", "fn_name", *_CASE_KEYS)
        if not any(metadata.get(key) is not None for key in known):
            raise InvalidInputError(
                "code_execution needs tests: the label is missing, and metadata has none of the keys "
                f"{', '.join(known[:6])}, …; found the keys {sorted(map(str, metadata))[:20]}"
            )
        return _read(metadata, "metadata", {})
    return _read(_parsed(label, "label"), "label", metadata)


def _parsed(value: Any, where: str) -> Any:
    """`value`, or what it holds as JSON; a text that is no JSON is a test module."""
    if not isinstance(value, str):
        return value
    if len(value) > _MAX_TEST_CHARS:
        raise InvalidInputError(f"code_execution: {where} has {len(value)} characters, at most {_MAX_TEST_CHARS} are")
    if value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"code_execution: {where} looks like JSON and is none: {error}") from None


def _read(found: Any, where: str, metadata: Mapping[str, Any]) -> Tests:
    if isinstance(found, str):
        if not found.strip():
            raise InvalidInputError(f"code_execution: {where} holds no test, found {shown(found)}")
        return _read_asserts([found], where, {**metadata, "test": found}, one_module=True)
    if isinstance(found, Mapping):
        return _read_mapping(found, where)
    if isinstance(found, Sequence) and not isinstance(found, (bytes, bytearray)):
        return _read_list(found, where, metadata)
    raise InvalidInputError(f"code_execution: {where} must hold tests (a dict, a list or a text), found {shown(found)}")


def _read_mapping(found: Mapping[str, Any], where: str) -> Tests:
    if found.get("test_list") is not None:
        tests = _parsed(found["test_list"], f"{where}['test_list']")
        return _read_asserts(_texts(tests, f"{where}['test_list']"), f"{where}['test_list']", found)
    if found.get("test") is not None:
        module = found["test"]
        if not isinstance(module, str) or not module.strip():
            raise InvalidInputError(f"code_execution: {where}['test'] must be a test module, found {shown(module)}")
        return _read_asserts([module], f"{where}['test']", found, one_module=True)
    if found.get("inputs") is not None:
        return _read_columns(found, where)
    for key in _CASE_KEYS:
        if found.get(key) is not None:
            return _read(_parsed(found[key], f"{where}[{key!r}]"), f"{where}[{key!r}]", found)
    if any(key in found for key in ("input", "output", "expected", "expected_output")):
        return _read_list([found], where, found)
    raise InvalidInputError(
        f"code_execution: {where} has none of the keys test_list, test, inputs, {', '.join(_CASE_KEYS)}; "
        f"found {sorted(map(str, found))[:20]}"
    )


def _read_list(found: Sequence[Any], where: str, around: Mapping[str, Any]) -> Tests:
    if not found:
        raise InvalidInputError(f"code_execution: {where} holds no test, found an empty list")
    if all(isinstance(one, str) for one in found):
        return _read_asserts(list(found), where, around)
    cases = [_read_case(one, f"{where}[{at}]", around) for at, one in enumerate(found)]
    stdio = tuple(case for case in cases if isinstance(case, StdioCase))
    calls = tuple(case for case in cases if isinstance(case, CallCase))
    if stdio and calls:
        raise InvalidInputError(f"code_execution: {where} mixes calls and standard input; give one kind a sample")
    return Tests(stdio=stdio, calls=calls)


def _read_case(found: Any, where: str, around: Mapping[str, Any]) -> StdioCase | CallCase:
    if not isinstance(found, Mapping):
        raise InvalidInputError(f"code_execution: {where} must be a case (a dict), found {shown(found)}")
    expected_key = next((key for key in ("expected", "output", "expected_output") if key in found), None)
    if expected_key is None:
        raise InvalidInputError(
            f"code_execution: {where} has neither 'output' nor 'expected'; found the keys "
            f"{sorted(map(str, found))[:20]}"
        )
    expected = found[expected_key]
    if "function" in found or "args" in found:
        return CallCase(*_read_call(found, where, around), (expected,))
    function = _function_of(found, where) or (_function_of(around, where) if found.get("testtype") != "stdin" else None)
    if found.get("testtype") == "functional" or function is not None:
        return _read_functional(found, where, function or _nested_function(around), expected)
    return StdioCase(_text(found.get("input", ""), f"{where}['input']"), _text(expected, f"{where}[{expected_key!r}]"))


def _read_call(
    found: Mapping[str, Any], where: str, around: Mapping[str, Any]
) -> tuple[str, tuple[Any, ...], Mapping[str, Any]]:
    function = _function_of(found, where) or _function_of(around, where)
    if function is None:
        raise InvalidInputError(f"code_execution: {where}['function'] must name a function, found none")
    args, kwargs = found.get("args", ()), found.get("kwargs") or {}
    if isinstance(args, (str, bytes)) or not isinstance(args, Sequence):
        raise InvalidInputError(f"code_execution: {where}['args'] must be a list, found {shown(args)}")
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        raise InvalidInputError(f"code_execution: {where}['kwargs'] must be a dict by name, found {shown(kwargs)}")
    return function, tuple(args), dict(kwargs)


def _read_functional(found: Mapping[str, Any], where: str, function: str | None, expected: Any) -> CallCase:
    """LiveCodeBench's: arguments as JSON, one a line, and the value as JSON; or lists of values."""
    if function is None:
        raise InvalidInputError(f"code_execution: {where} is functional and no fn_name says which function is called")
    given = found.get("input", ())
    try:
        args = [json.loads(line) for line in given.split("\n") if line.strip()] if isinstance(given, str) else given
        expected = json.loads(expected) if isinstance(expected, str) else expected
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"code_execution: {where}: arguments and value must be JSON: {error}") from None
    if not isinstance(args, Sequence):
        raise InvalidInputError(f"code_execution: {where}['input'] must hold arguments, found {shown(args)}")
    return CallCase(function, tuple(args), {}, (expected,))


def _read_columns(found: Mapping[str, Any], where: str) -> Tests:
    """APPS' and TACO's: one list of inputs and one of outputs."""
    inputs, outputs = found["inputs"], found.get("outputs")
    for key, column in (("inputs", inputs), ("outputs", outputs)):
        if isinstance(column, (str, bytes)) or not isinstance(column, Sequence):
            raise InvalidInputError(f"code_execution: {where}[{key!r}] must be a list, found {shown(column)}")
    if len(inputs) != len(outputs or ()) or not inputs:
        raise InvalidInputError(
            f"code_execution: {where} needs as many outputs as inputs, found {len(inputs)} inputs and "
            f"{len(outputs or ())} outputs"
        )
    function = _function_of(found, where)
    pairs = list(zip(inputs, outputs or (), strict=True))
    if function is None:
        return Tests(
            stdio=tuple(
                StdioCase(_text(given, f"{where}['inputs'][{at}]"), _text(wanted, f"{where}['outputs'][{at}]"))
                for at, (given, wanted) in enumerate(pairs)
            )
        )
    calls = []
    for at, (given, wanted) in enumerate(pairs):
        if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
            raise InvalidInputError(
                f"code_execution: {where}['inputs'][{at}] must be a list of arguments, found {shown(given)}"
            )
        # APPS wraps some values in a list and others not, and accepts both; so do all that grade it.
        accepted = (wanted, wanted[0]) if isinstance(wanted, list) and wanted else (wanted,)
        calls.append(CallCase(function, tuple(given), {}, accepted))
    return Tests(calls=tuple(calls))


def _function_of(found: Mapping[str, Any], where: str) -> str | None:
    for key in _FUNCTION_KEYS:
        name = found.get(key)
        if name is None:
            continue
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise InvalidInputError(f"code_execution: {where}[{key!r}] must name a function, found {shown(name)}")
        return name
    return _nested_function(found)


def _nested_function(found: Mapping[str, Any]) -> str | None:
    """LiveCodeBench keeps the name in a row's own metadata, as JSON."""
    nested = found.get("metadata")
    if isinstance(nested, str):
        nested = _parsed(nested, "label['metadata']")
    name = nested.get("func_name") if isinstance(nested, Mapping) else None
    return name if isinstance(name, str) and name.isidentifier() else None


def _text(value: Any, where: str) -> str:
    """Standard input or output: a text, or its lines."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value) + "\n"
    raise InvalidInputError(f"code_execution: {where} must be a text or a list of lines, found {shown(value)}")


def _texts(value: Any, where: str) -> list[str]:
    if isinstance(value, str) or not isinstance(value, Sequence) or not value:
        raise InvalidInputError(f"code_execution: {where} must be a list of asserts, found {shown(value)}")
    for at, one in enumerate(value):
        if not isinstance(one, str) or not one.strip():
            raise InvalidInputError(f"code_execution: {where}[{at}] must be an assert's text, found {shown(one)}")
    return list(value)


def _read_asserts(tests: list[str], where: str, around: Mapping[str, Any], *, one_module: bool = False) -> Tests:
    setup, prompt, entry_point = (around.get(key) for key in ("test_setup_code", "prompt", "entry_point"))
    setup = around.get("test_imports", setup) if setup is None else setup
    if isinstance(setup, list) and all(isinstance(line, str) for line in setup):
        setup = "\n".join(setup)  # EvalPlus' and newer MBPP's test_imports
    if setup is not None and not isinstance(setup, str):
        raise InvalidInputError(f"code_execution: test_setup_code must be a text, found {shown(setup)}")
    if entry_point is not None and (not isinstance(entry_point, str) or not entry_point.isidentifier()):
        raise InvalidInputError(f"code_execution: entry_point must name a function, found {shown(entry_point)}")
    texts = tuple(tests)
    asserts = split_asserts(
        texts,
        where,
        setup=setup or "",
        helpers=prompt if isinstance(prompt, str) else "",
        entry_point=entry_point,
        one_module=one_module,
    )
    return Tests(asserts=asserts)
