"""The calls that a label asks for.

What arrives: BFCL's ground truth (``[{"f": {"a": [1, 2], "b": ["x", ""]}}]``: accepted values by parameter, ``""`` for
"may be left out"), plain calls (``[{"name", "arguments"}]``, OpenAI's tool_calls among them), or either as JSON text.
An empty list asks for no call. What leaves: `ExpectedCall` values, or an `InvalidInputError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rayreward.errors import InvalidInputError, shown
from rayreward.json_text import MalformedJsonError, is_deeper, load_json
from rayreward.toolcalls.call import MAX_CALLS, MalformedCallError, looks_like_a_call, read_call

_MAX_DEPTH = 64
"""Of a label: an argument's depth, doubled by the lists of accepted values."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one argument must be.

    Attributes:
        alternatives: the accepted values; None accepts every value of the type. With none at all, as BFCL has it for
            an empty list, that list is accepted, or nothing.
        is_optional: whether it may be left out.
        schema: its type, where the label itself says it.
    """

    alternatives: tuple[Any, ...] | None
    is_optional: bool = False
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ExpectedCall:
    """One call that is asked for.

    Attributes:
        arguments: what each must be, by name.
        nests_alternatives: whether the values inside a dict are lists of accepted values too.
    """

    name: str
    arguments: Mapping[str, Wanted]
    nests_alternatives: bool = False


def read_expected(label: Any) -> list[ExpectedCall]:
    """The calls of a label.

    Raises:
        InvalidInputError: it is of no known shape.

    Example:
        >>> read_expected([{"add": {"a": [1], "b": [0, ""]}}])[0].arguments["b"]
        Wanted(alternatives=(0, ''), is_optional=True, schema=None)
        >>> read_expected('{"name": "add", "arguments": {"a": 1}}')[0].arguments["a"].alternatives
        (1,)
    """
    value = _as_plain(label)
    listed = [value] if isinstance(value, Mapping) else value
    if not isinstance(listed, (list, tuple)) or len(listed) > MAX_CALLS:
        raise InvalidInputError(
            f"the expected calls must be a list of at most {MAX_CALLS} objects ({{'f': {{'a': [1]}}}} or "
            f"{{'name': 'f', 'arguments': {{'a': 1}}}}), found {shown(label)}"
        )
    if is_deeper(listed, _MAX_DEPTH):
        raise InvalidInputError(f"the expected calls are more than {_MAX_DEPTH} levels deep")
    return [_read_one(one) for one in listed]


def read_call_schema(schema: Any) -> ExpectedCall:
    """The call of an ``expected_call_schema``: ``{"name", "arguments": {argument: {"type": …}}}``, types alone.

    Raises:
        InvalidInputError: it is of another shape.

    Example:
        >>> read_call_schema({"name": "f", "arguments": {"a": {"type": "string"}}}).arguments["a"].schema
        {'type': 'string'}
    """
    value = _as_plain(schema)
    arguments = value.get("arguments", {}) if isinstance(value, Mapping) else None
    if not isinstance(arguments, Mapping) or not isinstance(value.get("name"), str):
        raise InvalidInputError(
            f"an expected_call_schema must be {{'name': …, 'arguments': {{…: {{'type': …}}}}}}, found {shown(schema)}"
        )
    return ExpectedCall(value["name"], {name: _read_typed(one) for name, one in arguments.items()})


def _as_plain(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return load_json(value)
    except MalformedJsonError as error:
        raise InvalidInputError(f"the expected calls must be objects or their JSON: {error}") from None


def _read_one(value: Any) -> ExpectedCall:
    if looks_like_a_call(value):
        try:
            call = read_call(value)
        except MalformedCallError as error:
            raise InvalidInputError(f"an expected call: {error}") from None
        return ExpectedCall(call.name, {name: Wanted((one,)) for name, one in call.arguments.items()})
    if isinstance(value, Mapping) and len(value) == 1:
        [(name, arguments)] = value.items()
        if isinstance(name, str) and isinstance(arguments, Mapping):
            return ExpectedCall(name, {key: _read_accepted(one) for key, one in arguments.items()}, True)
    raise InvalidInputError(
        f"an expected call must be {{'f': {{'a': [1]}}}} or {{'name': 'f', 'arguments': {{'a': 1}}}}, "
        f"found {shown(value)}"
    )


def _read_accepted(values: Any) -> Wanted:
    alternatives = tuple(values) if isinstance(values, (list, tuple)) else (values,)
    return Wanted(alternatives, is_optional=not alternatives or "" in alternatives)


def _read_typed(schema: Any) -> Wanted:
    found = schema if isinstance(schema, Mapping) else {}
    accepted = found.get("enum")
    return Wanted(tuple(accepted) if isinstance(accepted, (list, tuple)) else None, schema=found)
