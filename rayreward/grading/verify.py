r"""math-verify's opinion, for answers that exact arithmetic cannot decide.

What arrives: a gold answer and a given one. What leaves: whether math-verify holds them equal, None where it cannot
read one of them. It hangs on hostile input and takes what memory there is: call it where it can be killed, which
`rayreward.rewards.math` does.
"""

from __future__ import annotations

import importlib.util
import logging
import re

PRELOAD = ("rayreward.grading.rehearsal",)
"""What is to be imported before workers are forked: math-verify, and what it builds at its first use."""

_PLACES = 12
"""Decimal places to which it compares decimals; its own six would take 0.333333 for a third."""

_DEGREES = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s?\^\s?\{?\s?\\circ\s?\}?")
_ANGLE_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)(?![a-zA-Z])")


def is_installed() -> bool:
    """Whether math-verify is there; it is not imported for that."""
    return importlib.util.find_spec("math_verify") is not None


def verify(pair: tuple[str, str]) -> bool | None:
    """Whether both are equal.

    Args:
        pair: the gold answer and the given one, as LaTeX without a box.
    """
    from math_verify import LatexExtractionConfig, parse
    from math_verify import verify as compare

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its alarm is off: ours is outside
    config = [LatexExtractionConfig(boxed_match_priority=0)]
    gold, given = (
        parse(f"\\boxed{{{_in_radians(text)}}}", config, fallback_mode="no_fallback", parsing_timeout=None)
        for text in pair
    )
    if not gold or not given:
        return None
    return bool(compare(gold, given, float_rounding=_PLACES, strict=True, timeout_seconds=None))


def _in_radians(text: str) -> str:
    r"""Angles inside of functions, of which math-verify takes ``\sin 30^\circ`` for the sine of 30 radians."""
    if _ANGLE_FUNCTION.search(text) is None:
        return text
    return _DEGREES.sub(r"\\left(\\frac{\1 \\pi}{180}\\right)", text)
