"""The schemas of the tools that a model was shown, by name.

What arrives: OpenAI's ``[{"type": "function", "function": {name, parameters}}]``, BFCL's ``[{name, parameters}]``, or
either as JSON text. What leaves: `Tool` values; or an `InvalidInputError` that says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rayreward.errors import InvalidInputError, shown
from rayreward.json_text import MalformedJsonError, load_json


@dataclass(frozen=True, slots=True)
class Tool:
    """What one tool takes.

    Attributes:
        properties: the schema of each parameter.
        required: the parameters that a call must have.
    """

    properties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()


def read_tools(value: Any) -> dict[str, Tool]:
    """The tools by name; none for None.

    Raises:
        InvalidInputError: it is no list of tools.

    Example:
        >>> read_tools([{"name": "add", "parameters": {"properties": {"a": {"type": "integer"}}, "required": ["a"]}}])
        {'add': Tool(properties={'a': {'type': 'integer'}}, required=frozenset({'a'}))}
    """
    if value is None:
        return {}
    if isinstance(value, str):
        try:
            value = load_json(value)
        except MalformedJsonError as error:
            raise InvalidInputError(f"tools must be a list of functions or its JSON, found {error}") from None
    listed = [value] if isinstance(value, Mapping) else value
    if not isinstance(listed, (list, tuple)):
        raise InvalidInputError(f"tools must be a list of functions, found {shown(value)}")
    return dict(_read_tool(one) for one in listed)


def _read_tool(value: Any) -> tuple[str, Tool]:
    function = value.get("function", value) if isinstance(value, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(name, str):
        raise InvalidInputError(f"a tool must be an object with a name and parameters, found {shown(value)}")
    parameters = function.get("parameters")
    schema = parameters if isinstance(parameters, Mapping) else {}
    properties, required = schema.get("properties"), schema.get("required")
    known = properties if isinstance(properties, Mapping) else {}
    return name, Tool(
        {key: one if isinstance(one, Mapping) else {} for key, one in known.items()},
        frozenset(key for key in required if isinstance(key, str))
        if isinstance(required, (list, tuple))
        else frozenset(),
    )
