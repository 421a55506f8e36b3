"""Values of the standard library that a program's answers hold, made anew on this side.

What arrives: plain values of a hostile program, in which marks stand for decimals, fractions, dates, deques, counters,
ranges, keys of dicts and named tuples. What leaves: these, or a `ProgramError`. It takes time linear in the value, and
runs nothing of the program.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import functools
import re
from collections.abc import Callable, Iterable
from typing import Any

from rayreward.programs.stub import MARK, MOST_ITEMS
from rayreward.sandbox.inside.codec import MAX_COLLISIONS

_NUMBER_TEXT = re.compile(r"-?\d{1,60}(?:[./]\d{1,60})?")
"""Decimals and fractions that are taken from a program; 1e999999999 is one that would be computed with for hours."""

_MAX_FIELDS = 64


class ProgramError(Exception):
    """The program raised an exception of its own class, or one that would mean something else in a test."""


def restored(value: Any, *, with_names: bool = False) -> Any:
    """`value` with what its marks stand for.

    Args:
        value: what the program answered.
        with_names: whether named tuples get classes, whose making takes time; they equal plain tuples.

    Raises:
        ProgramError: a mark stands for nothing that could be made.
    """
    try:
        return _restored(value, with_names)
    except (TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ProgramError(f"a value that cannot be made: {error}"[:200]) from None


def _restored(value: Any, with_names: bool) -> Any:
    kind = type(value)
    if kind is tuple and value and type(value[0]) is str and value[0] == MARK:
        _, name, *parts = value
        return _make(name, parts, with_names)
    if kind in (list, tuple):
        return kind([_restored(one, with_names) for one in value])
    if kind in (set, frozenset):
        return kind(_checked([_restored(one, with_names) for one in value]))
    if kind is dict:
        keys = _checked([_restored(key, with_names) for key in value])
        return dict(zip(keys, [_restored(one, with_names) for one in value.values()], strict=True))
    return value


def _make(name: Any, parts: list[Any], with_names: bool) -> Any:
    if name in ("Decimal", "Fraction"):
        (text,) = parts
        if _NUMBER_TEXT.fullmatch(text):
            return {"Decimal": decimal.Decimal, "Fraction": fractions.Fraction}[name](text)
        raise ValueError(f"a {name} that is no plain number")
    if name == "tuple":
        class_name, fields, values = parts
        values = _restored(values, with_names)
        return _named(class_name, fields)(*values) if with_names else tuple(values)
    if name == "dict_keys":
        (keys,) = parts
        return dict.fromkeys(_checked(_restored(keys, with_names))).keys()
    if name in ("deque", "Counter"):
        inner, *rest = parts
        if type(inner) is not (dict if name == "Counter" else list):
            raise ValueError(f"no {name}")
        return getattr(collections, name)(_restored(inner, with_names), *rest)
    makers: dict[Any, Callable[..., Any]] = {
        "datetime": datetime.datetime,
        "date": datetime.date,
        "timedelta": datetime.timedelta,
        "range": _short_range,
    }
    if name in makers and all(type(part) is int for part in parts):
        return makers[name](*parts)
    raise ValueError(f"nothing is called {name!r:.40}")


def _short_range(*bounds: int) -> range:
    found = range(*bounds)
    if len(found) > MOST_ITEMS:
        raise ValueError("a range too long")
    return found


@functools.lru_cache(maxsize=64)
def _named(class_name: str, fields: tuple[str, ...]) -> Callable[..., Any]:
    if type(class_name) is not str or type(fields) is not tuple or len(fields) > _MAX_FIELDS:
        raise ValueError("a named tuple that is none")
    return collections.namedtuple(class_name, fields)


def _checked(keys: Iterable[Any]) -> list[Any]:
    """Keys, unless they were chosen to have one hash: each would be compared with every other."""
    found = list(keys)
    counts = collections.Counter(map(hash, found))
    if counts and max(counts.values()) > MAX_COLLISIONS:
        raise ValueError(f"more than {MAX_COLLISIONS} keys with one hash")
    return found
