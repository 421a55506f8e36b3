"""A reward's version: a content hash of its code, configuration and weights.

What arrives: functions, classes, configured values. What leaves: twelve hexadecimal digits, the same on every
machine and in every process that holds the same content, and others when a setting, a default, a closed-over value
or a line of the module changes. Never a time or a memory address. Attributes whose names begin with ``_`` are no
content: credentials, connections and caches belong there.
"""

from __future__ import annotations

import ast
import dataclasses
import enum
import functools
import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

_DIGITS = 12
"""48 bits: two of a million versions meet with a chance of 0.2 %; more digits only make logs wider."""

_NOT_THE_AUTHORS = ("builtins", "abc", "typing", "rayreward.")
"""Modules of base classes that say nothing of what a reward answers."""

_OURS, _FOUNDATION = "rayreward.", "rayreward.function"
"""Built-in rewards are built on the second; it and what it imports say nothing of what they answer either."""


def content_version(*parts: Any) -> str:
    """The hash of `parts`, in order.

    Example:
        >>> content_version({"a": 1, "b": {2, 3}}) == content_version({"b": {3, 2}, "a": 1})
        True
    """
    return hashlib.sha256(_ordered(describe(list(parts)))).hexdigest()[:_DIGITS]


def code_of(code: Callable[..., Any] | type) -> str:
    """The source that defines a function or a class: its whole module, since what it calls lives there too.

    A built-in reward is thin: the modules of rayreward that it scores by belong to it.

    Where there is no file (a notebook, an interactive shell) the object's own source, else its bytecode.
    """
    code = inspect.unwrap(code) if not isinstance(code, type) else code
    compiled: CodeType | None = getattr(code, "__code__", None)
    path = getattr(inspect.getmodule(code), "__file__", None)
    if path and code.__module__.startswith(_OURS):
        return "\n".join(_sources_of(code.__module__))
    if getattr(code, "__module__", None) == "__main__":  # elsewhere than where it was typed, __main__ is another file
        path = compiled.co_filename if compiled is not None else None
    try:
        if path:
            return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError):
        pass  # a zip import, a compiled or a removed file: the next best description follows
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        return _ordered(describe(compiled)).decode() if compiled else f"{code.__module__}.{code.__qualname__}"


@functools.cache
def _sources_of(module: str) -> list[str]:
    """The sources of a module of rayreward and of those that it uses, without what all rewards are built on."""
    known, waiting = _imported_first(_FOUNDATION) - {module}, [module]
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name not in known and (source := _source_of(name)) is not None:
            known.add(name)
            found[name] = source
            waiting += _imports(ast.walk(ast.parse(source)))
    return [found[name] for name in sorted(found)]


def _imported_first(module: str) -> set[str]:
    """The module and what is imported with it."""
    found, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name not in found and (source := _source_of(name)) is not None:
            found.add(name)
            waiting += _imports(ast.parse(source).body)
    return found


def _imports(nodes: Iterable[ast.AST]) -> list[str]:
    """The modules of rayreward that are imported there; some of the names may be functions and classes."""
    found = []
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_OURS):
            found += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.startswith(_OURS)]
    return found


def _source_of(module: str) -> str | None:
    """None for a name that is no module. Nothing is imported for it: some modules are heavy."""
    path = Path(__file__).parent.parent.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        try:
            return file.read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
    return None


def describe(value: Any, inside: tuple[int, ...] = ()) -> Any:
    """`value` as nested lists of what JSON can hold: equal for equal content, whatever the process."""
    if value is None or (isinstance(value, (bool, float, str)) and not isinstance(value, enum.Enum)):
        return value
    if id(value) in inside:
        return "(itself)"
    inside = (*inside, id(value))
    if isinstance(value, Mapping):
        return ["dict", sorted(([describe(k, inside), describe(v, inside)] for k, v in value.items()), key=_ordered)]
    if isinstance(value, (list, tuple)):
        return [describe(one, inside) for one in value]
    if isinstance(value, (set, frozenset)):
        return ["set", sorted((describe(one, inside) for one in value), key=_ordered)]
    return [_type_name(value), _describe_object(value, inside)]


def _describe_object(value: Any, inside: tuple[int, ...]) -> Any:
    if isinstance(getattr(type(value), "version", None), property):  # a reward inside another
        return value.version
    if isinstance(value, (FunctionType, BuiltinFunctionType, MethodType, functools.partial, type, CodeType)):
        return describe(_parts_of_code(value), inside)
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, int):
        return hex(value)  # of any size: decimal digits of huge ones are refused by Python
    if isinstance(value, re.Pattern):
        return [str(value.pattern), value.flags]  # its repr is cut
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if hasattr(value, "tolist"):  # arrays and tensors
        return describe(value.tolist(), inside)
    if dataclasses.is_dataclass(value):
        return describe({field.name: getattr(value, field.name) for field in dataclasses.fields(value)}, inside)
    shown = repr(value)  # says all of a path, a date, a fraction, …
    settings = {name: one for name, one in getattr(value, "__dict__", {}).items() if name[:1] != "_"}
    return ["" if " at 0x" in shown else shown, describe(settings, inside)]


def _parts_of_code(value: Any) -> list[Any]:
    """What the behaviour of something callable depends on."""
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, BuiltinFunctionType):
        return [value.__qualname__, None if inspect.ismodule(value.__self__) else value.__self__]
    if isinstance(value, CodeType):
        return [value.co_code, value.co_consts, value.co_names]
    if isinstance(value, type):
        own = [base for base in value.__mro__ if base is value or not base.__module__.startswith(_NOT_THE_AUTHORS)]
        return [value.__qualname__, *(code_of(base) for base in own)]
    function = inspect.unwrap(value)
    cells = [_content(cell) for cell in function.__closure__ or ()]
    return [code_of(function), function.__qualname__, function.__defaults__, function.__kwdefaults__, cells]


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None  # a name that is not bound yet


def _ordered(described: Any) -> bytes:
    return json.dumps(described).encode()


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
