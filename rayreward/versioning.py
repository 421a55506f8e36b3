"""A reward's version: a content hash of its code, configuration and weights.

What arrives: functions, classes, configured values. What leaves: twelve hexadecimal digits, the same on every
machine that holds the same content. Never a time, a path or a memory address.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_DIGITS = 12
"""48 bits: two of a million versions meet with a chance of 0.2 %; more digits only make logs wider."""


def content_version(*parts: Any) -> str:
    """The hash of `parts`, in order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(_as_bytes(part))
        digest.update(b"\x00")
    return digest.hexdigest()[:_DIGITS]


def code_of(code: Callable[..., Any] | type) -> str:
    """The source that defines a function or a class: its whole module, since what it calls lives there too.

    Where there is no file (a notebook, an interactive shell) the object's own source, else its bytecode.
    """
    code = inspect.unwrap(code) if not isinstance(code, type) else code
    module = inspect.getmodule(code)
    path = getattr(module, "__file__", None)
    if path and getattr(module, "__name__", "") != "__main__":
        try:
            return Path(path).read_text(encoding="utf-8")
        except OSError:
            pass  # a zip import or a removed file: the next best description follows
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):
        compiled = getattr(code, "__code__", None)
        return repr((compiled.co_code, compiled.co_consts)) if compiled else repr(code)


def _as_bytes(part: Any) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, str):
        return part.encode("utf-8", "surrogatepass")
    return json.dumps(part, sort_keys=True, default=_describe).encode()


def _describe(value: Any) -> Any:
    """A stable stand-in for what JSON cannot hold."""
    version = getattr(value, "version", None)
    if isinstance(version, str):
        return version
    if callable(value):
        return code_of(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    return f"{type(value).__module__}.{type(value).__qualname__}"
