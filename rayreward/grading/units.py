"""Units behind a number.

What arrives: the tokens that follow a number to the end of an answer. What leaves: the unit's one name, a factor where
the words are part of the number (million, dozen), or nothing where they are no unit. Two units of the table that differ
make two answers differ; words that the table does not know (eggs, students) are no reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from rayreward.grading.tokens import Token

_KNOWN: dict[str, tuple[str, ...]] = {
    "mm": ("millimeter", "millimeters", "millimetre", "millimetres"),
    "cm": ("centimeter", "centimeters", "centimetre", "centimetres"),
    "m": ("meter", "meters", "metre", "metres"),
    "km": ("kilometer", "kilometers", "kilometre", "kilometres"),
    "in": ("inch", "inches"),
    "ft": ("foot", "feet"),
    "yd": ("yard", "yards", "yds"),
    "mi": ("mile", "miles"),
    "mg": ("milligram", "milligrams"),
    "g": ("gram", "grams"),
    "kg": ("kilogram", "kilograms", "kgs"),
    "lb": ("lbs", "pounds", "pound"),
    "oz": ("ounce", "ounces"),
    "ml": ("milliliter", "milliliters", "mL"),
    "l": ("liter", "liters", "litre", "litres", "L"),
    "s": ("sec", "secs", "second", "seconds"),
    "min": ("mins", "minute", "minutes"),
    "h": ("hr", "hrs", "hour", "hours"),
    "day": ("days",),
    "week": ("weeks",),
    "month": ("months",),
    "year": ("years", "yr", "yrs"),
    "dollar": ("dollars", "usd", "\\$"),
    "cent": ("cents", "¢"),
    "euro": ("euros",),
    "degree": ("degrees", "deg"),
    "radian": ("radians", "rad"),
    "percent": ("percentage",),
    "mph": (),
    "kph": (),
}
_NAMES = {alias: name for name, aliases in _KNOWN.items() for alias in (name, *aliases)}

SHORT_UNITS = frozenset(("mm", "cm", "km", "ft", "yd", "mi", "mg", "kg", "lb", "oz", "ml", "mL", "hr", "in"))
"""Runs of two letters that are units where a number stands before them; `xy` and `ab` are products."""

_MULTIPLIERS = {
    "hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12,
}  # fmt: skip

_NO_UNITS = frozenset(
    ("or", "and", "not", "no", "maybe", "either", "neither", "but", "except", "plus", "minus", "times", "over", "if",
     "unless", "less", "more", "than", "about", "approximately", "nearly", "almost", "around", "wrong", "then", "is",
     "are", "possibly", "perhaps", "otherwise", "versus", "vs", "to", "through", "between", "instead", "isn't", "could",
     "might", "when", "for", "with", "without", "incorrect", "half", "quarter", "third", "point", "squared-or", "mod",
     "factorial", "remainder", "r", "base")
)  # fmt: skip
"""Words that make a number another number, or no answer at all."""

_POWERS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}
_MAX_TOKENS = 12


class Unit(NamedTuple):
    """What stands behind a number.

    Attributes:
        name: one text for one unit; empty where there is none.
        is_known: whether the table has it, so that another known unit is another answer.
        factor: what the number is to be multiplied by.
    """

    name: str = ""
    is_known: bool = False
    factor: Fraction = Fraction(1)


def read_unit(tokens: Sequence[Token]) -> Unit | None:
    r"""The unit that these tokens are, None where they are something else.

    Example:
        >>> from rayreward.grading.tokens import tokenise
        >>> read_unit(tokenise(r"\text{ square centimeters}")), read_unit(tokenise(r"\text{ or so}"))
        (Unit(name='cm^2', is_known=True, factor=Fraction(1, 1)), None)
    """
    if len(tokens) > _MAX_TOKENS:
        return None
    if tokens and tokens[-1].text == "times":  # "8 times" counts; "8 times 2" is another number
        tokens = tokens[:-1]
    factor, pending = Fraction(1), 1
    names: list[str] = []
    powers: dict[int, int] = {}
    at, is_divided, is_known = 0, False, True
    while at < len(tokens):
        kind, text, _ = tokens[at]
        at += 1
        lowered = text.casefold()
        if kind in ("word", "letter") or text == "\\$":
            if lowered in _NO_UNITS:
                return None
            if lowered in _MULTIPLIERS and not names:
                factor *= _MULTIPLIERS[lowered]
            elif lowered in _POWERS:
                if lowered.endswith("ed") and names:
                    powers[len(names) - 1] = _POWERS[lowered]
                else:
                    pending = _POWERS[lowered]
            elif lowered == "per":
                is_divided = True
            elif lowered != "of":
                name = _NAMES.get(text) or _NAMES.get(lowered)
                is_known = is_known and name is not None
                powers[len(names)] = pending
                names.append(("/" if is_divided else "") + (name or lowered))
                is_divided, pending = False, 1
        elif text == "/":
            is_divided = True
        elif text == "^" and names:
            power, at = _power(tokens, at)
            if power is None:
                return None
            if power < 0:  # h^{-1}
                names[-1], power = "/" + names[-1], -power
            powers[len(names) - 1] = power
        elif text not in (".", "*"):
            return None
    written = "*".join(name if powers[n] == 1 else f"{name}^{powers[n]}" for n, name in enumerate(names))
    return Unit(written, is_known and bool(names), factor)


def _power(tokens: Sequence[Token], at: int) -> tuple[int | None, int]:
    is_braced = at < len(tokens) and tokens[at].text == "{"
    at += is_braced
    is_negative = at < len(tokens) and tokens[at].text == "-"
    at += is_negative
    if at >= len(tokens) or tokens[at].text not in (("1", "2", "3") if is_negative else ("2", "3")):
        return None, at
    power, at = int(tokens[at].text) * (-1 if is_negative else 1), at + 1
    if is_braced:
        if at >= len(tokens) or tokens[at].text != "}":
            return None, at
        at += 1
    return power, at
