"""Is what a program printed or returned what was expected?

What arrives: text, or plain values that no object of the program's can hide in. What leaves: True or False. It takes
time linear in what it is given.
"""

from __future__ import annotations

import collections
import math
from typing import Any, Literal

Comparison = Literal["lines", "exact", "tokens"]
"""How output is compared: its lines without trailing whitespace, byte for byte, or its words."""


def outputs_match(
    printed: str, expected: str, *, comparison: Comparison = "lines", float_tolerance: float | None = None
) -> bool:
    r"""Whether a program's output is the expected one.

    Args:
        printed: what it printed.
        expected: what it should have printed.
        comparison: "lines" forgives whitespace at the ends of lines and empty lines at the end; "tokens" all
            differences in whitespace; "exact" nothing.
        float_tolerance: words that are numbers may differ by so much, relative to the larger or absolute, the kinder
            of both. Compares word by word, whatever `comparison` says.

    Example:
        >>> outputs_match("1 \n2\n\n", "1\n2"), outputs_match("0.3333", "0.33333", float_tolerance=1e-3)
        (True, True)
    """
    if float_tolerance is not None:
        got, want = printed.split(), expected.split()
        return len(got) == len(want) and all(
            one == other or _numbers_match(one, other, float_tolerance) for one, other in zip(got, want, strict=True)
        )
    if comparison == "exact":
        return printed == expected
    if comparison == "tokens":
        return printed.split() == expected.split()
    return _stripped_lines(printed) == _stripped_lines(expected)


def _stripped_lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]


_MAX_NUMBER_CHARS = 400
"""Longer words are no numbers that a float could hold."""


def _numbers_match(one: str, other: str, tolerance: float) -> bool:
    if max(len(one), len(other)) > _MAX_NUMBER_CHARS:
        return False
    try:
        return _close(float(one), float(other), tolerance)
    except ValueError:
        return False


def _close(one: float, other: float, tolerance: float) -> bool:
    return math.isfinite(one) and math.isclose(one, other, rel_tol=tolerance, abs_tol=tolerance)


def values_match(returned: Any, expected: Any, *, float_tolerance: float | None = None) -> bool:
    """Whether a plain value is the expected one, which JSON has held: a tuple there is a list, an integer key a text.

    Example:
        >>> values_match((1, [2, (3,)]), [1, [2, [3]]]), values_match(0.1 + 0.2, 0.3, float_tolerance=1e-9)
        (True, True)
    """
    if isinstance(expected, (list, tuple)):
        return (
            isinstance(returned, (list, tuple, collections.deque, range))
            and len(returned) == len(expected)
            and all(
                values_match(one, other, float_tolerance=float_tolerance)
                for one, other in zip(returned, expected, strict=True)
            )
        )
    if isinstance(expected, dict):
        if isinstance(returned, dict) and all(isinstance(key, str) for key in expected):
            returned = {str(key) if type(key) is int else key: value for key, value in returned.items()}
        return (
            isinstance(returned, dict)
            and len(returned) == len(expected)
            and all(
                key in returned and values_match(returned[key], value, float_tolerance=float_tolerance)
                for key, value in expected.items()
            )
        )
    if float_tolerance is not None and _is_number(returned) and _is_number(expected):
        try:
            return returned == expected or _close(float(returned), float(expected), float_tolerance)
        except OverflowError:  # an integer beyond floats, and another one
            return False
    return bool(returned == expected) or (_is_nan(returned) and _is_nan(expected))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
