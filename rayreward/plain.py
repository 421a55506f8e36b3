"""Any Python value as what JSON can hold.

What arrives: labels, metadata, reasons: whatever data sets and rewards put there. What leaves: dicts by text, lists,
valid Unicode, finite numbers, booleans and None. It never raises: what has no form in JSON is written as a text.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from rayreward.errors import shown

_MAX_DEPTH = 32
"""Levels of nesting that are kept; more only hides a value that holds itself."""

_MAX_INTEGER = 2**63
"""What every reader of JSON holds exactly or nearly; larger integers are written as text."""


def plain(value: Any, depth: int = 0) -> Any:
    r"""`value` as plain JSON.

    Example:
        >>> plain({1: {2.5}, "text": "\ud800", "nan": float("nan")})
        {'1': [2.5], 'text': '\\ud800', 'nan': None}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, int):
        return int(value) if -_MAX_INTEGER <= value < _MAX_INTEGER else shown(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if depth >= _MAX_DEPTH:
        return "(nested too deeply)"
    try:
        return _container(value, depth + 1)
    except Exception:  # noqa: BLE001 - the boundary: foreign objects are asked for their content
        return plain(shown(value))


def _container(value: Any, depth: int) -> Any:
    if isinstance(value, Mapping):
        return {str(plain(key, depth)): plain(one, depth) for key, one in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one, depth) for one in value]
    if hasattr(value, "tolist"):  # arrays and tensors
        return plain(value.tolist(), depth)
    names = getattr(value, "__struct_fields__", None)
    if names is None and dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    if names is not None:
        return {name: plain(getattr(value, name), depth) for name in names}
    return plain(str(value))
