"""Calls as Python writes them: ``[weather(city="Rome"), add(a=1, b=2)]``. They are read, never evaluated."""

from __future__ import annotations

import ast
import warnings
from typing import Any

from rayreward.toolcalls.call import MAX_CALLS, MalformedCallError, ToolCall, read_call

_MAX_CHARS = 2**16
"""Python's parser takes 50 ms for so many; its own limits on depth hold for every text of this size."""

_JSON_NAMES = {"true": True, "false": False, "null": None}
"""Models that learned JSON write these where Python says True, False and None."""


def parse_pythonic(text: str) -> list[ToolCall]:
    """The calls that the text is: a list of them, one, or several with commas or new lines between.

    Arguments are keywords with literals: no names, no operators, no positions. Dotted names are taken as they stand.

    Raises:
        MalformedCallError: it is anything else.

    Example:
        >>> parse_pythonic('[math.add(a=1, b=-2.5), greet(names=("Ann", "Bo"))]')[1]
        ToolCall(name='greet', arguments={'names': ['Ann', 'Bo']})
    """
    body = text.replace("<|python_start|>", "").replace("<|python_end|>", "").strip()
    if len(body) > _MAX_CHARS:
        raise MalformedCallError(f"pythonic calls of {len(body)} characters are not read: at most {_MAX_CHARS} are")
    try:
        with warnings.catch_warnings():  # an unknown escape such as "\d" warns, and is no mistake of ours
            warnings.simplefilter("ignore")
            statements = ast.parse(body).body
        nodes = [node for one in statements for node in _expressions(one)]
        if len(nodes) > MAX_CALLS:
            raise MalformedCallError(f"more than {MAX_CALLS} calls")
        return [_read(node) for node in nodes]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        if isinstance(error, MalformedCallError):
            raise
        raise MalformedCallError(f"no Python calls: {type(error).__name__}: {str(error)[:80]}") from None


def _expressions(statement: ast.stmt) -> list[ast.expr]:
    """Those of a line: the items of a list, or the one that it is."""
    if not isinstance(statement, ast.Expr):
        raise MalformedCallError(f"calls are needed, found {type(statement).__name__}")
    value = statement.value
    return value.elts if isinstance(value, (ast.List, ast.Tuple)) else [value]


def _read(node: ast.expr) -> ToolCall:
    if not isinstance(node, ast.Call):
        raise MalformedCallError(f"a list of calls is needed, found {type(node).__name__} in it")
    name = _name_of(node.func)
    if node.args:
        raise MalformedCallError(f"the call of {name:.60} has arguments without names")
    arguments: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.arg is None or keyword.arg in arguments:
            raise MalformedCallError(f"the call of {name:.60} has ** or the same argument twice")
        arguments[keyword.arg] = _literal(keyword.value)
    return read_call({"name": name, "arguments": arguments})


def _name_of(node: ast.expr) -> str:
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise MalformedCallError("a call needs a plain or a dotted name")
    return ".".join([node.id, *reversed(parts)])


def _literal(node: ast.expr) -> Any:
    """The value of a literal, in what JSON knows: tuples become lists."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.Name(id=name) if name in _JSON_NAMES:
            return _JSON_NAMES[name]
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=ast.Constant(value=int() | float() as number)) if (
            not isinstance(number, bool)
        ):
            return -number if isinstance(sign, ast.USub) else number
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_literal(item) for item in items]
        case ast.Dict(keys=keys, values=values):
            return _mapping(keys, values)
    raise MalformedCallError(f"arguments must be literals, found {type(node).__name__}")


def _mapping(keys: list[ast.expr | None], values: list[ast.expr]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in zip(keys, values, strict=True):
        name = None if key is None else _literal(key)
        if not isinstance(name, str) or name in found:
            raise MalformedCallError("the keys of a dict must be texts, each of them once")
        found[name] = _literal(value)
    return found
