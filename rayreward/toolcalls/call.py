"""One call of a tool, as a model asks for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rayreward.json_text import MalformedJsonError, is_deeper, load_json

Format = Literal["openai", "hermes", "function_tags", "llama3", "mistral", "deepseek", "pythonic", "json"]
"""How calls are written; see the module of each name, and `plain_json` for the last."""

MAX_CALLS = 64
"""In one response; real ones have at most a dozen, and each is compared with each that is expected."""

_MAX_DEPTH = 32
"""Of an argument's lists and objects; the deepest of BFCL is four."""


class MalformedCallError(ValueError):
    """A text that means to call tools and cannot be read; the message is the reason to show."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool's name and its arguments: plain values, tuples already turned into lists.

    Attributes:
        are_texts: whether the format writes every argument as bare text, so that its parameter says what it is.
    """

    name: str
    arguments: Mapping[str, Any]
    are_texts: bool = field(default=False, repr=False)


def read_call(value: Any) -> ToolCall:
    """A call from its JSON: ``{"name", "arguments"}``, Llama's "parameters", or OpenAI's ``{"function": {…}}``.

    Raises:
        MalformedCallError: it is of none of these shapes.

    Example:
        >>> read_call({"function": {"name": "add", "arguments": '{"a": 1}'}})
        ToolCall(name='add', arguments={'a': 1})
    """
    function = value.get("function") if isinstance(value, dict) else None
    fields = function if isinstance(function, dict) else value
    if not isinstance(fields, dict):
        raise MalformedCallError(f"a call must be an object with a name and arguments, found {type(value).__name__}")
    name = fields.get("name")
    if not isinstance(name, str) or not name.strip():
        raise MalformedCallError("a call has no name")
    if "arguments" in fields and "parameters" in fields:
        raise MalformedCallError(f"the call of {name:.60} has both arguments and parameters")
    return ToolCall(name.strip(), _read_arguments(name, fields.get("arguments", fields.get("parameters"))))


def looks_like_a_call(value: Any) -> bool:
    """Whether an unmarked JSON object is one: data may have a name too, so arguments must be there as well."""
    if not isinstance(value, dict):
        return False
    function = value.get("function")
    fields = function if isinstance(function, dict) else value
    return isinstance(fields.get("name"), str) and ("arguments" in fields or "parameters" in fields)


def _read_arguments(name: str, given: Any) -> dict[str, Any]:
    if isinstance(given, str):
        try:
            given = load_json(given) if given.strip() else {}
        except MalformedJsonError as error:
            raise MalformedCallError(f"the arguments of {name:.60}: {error}") from None
    given = {} if given is None else given
    if not isinstance(given, dict) or not all(isinstance(key, str) for key in given):
        raise MalformedCallError(f"the arguments of {name:.60} must be an object, found {type(given).__name__}")
    if is_deeper(given, _MAX_DEPTH):
        raise MalformedCallError(f"the arguments of {name:.60} are more than {_MAX_DEPTH} levels deep")
    return given
