"""What an answer can be.

What arrives: what the reader understood. What leaves: frozen values that `rayreward.grading.exact` compares. An answer
that cannot be read is a value too, and says why; so is one that contradicts itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rayreward.grading.sums import Ratio
from rayreward.grading.units import Unit


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number or an expression, with its unit. A percentage is no number of its own: 50 % is 50 in percent."""

    ratio: Ratio
    unit: Unit = field(default_factory=Unit)
    is_percent: bool = False


@dataclass(frozen=True, slots=True)
class Based:
    """Digits in a base; 101_2 is no 5, for the base was asked for."""

    digits: str
    base: str


@dataclass(frozen=True, slots=True)
class Words:
    """Language, in small letters with single spaces."""

    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """Values in an order, between brackets: a point, a vector or an interval."""

    opening: str
    closing: str
    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Several:
    """Values in no order: a list without brackets or a set.

    Attributes:
        is_set: it was written in braces.
        values: none is another `Several`.
    """

    values: tuple[Value, ...]
    is_set: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """One interval of the real line; a bound that is None is infinite."""

    low: Ratio | None
    is_low_in: bool
    high: Ratio | None
    is_high_in: bool


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the real line: intervals, or what an inequality of one variable allows."""

    pieces: tuple[Piece, ...]
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of cells; `fence` tells a determinant from a matrix."""

    rows: tuple[tuple[Value, ...], ...]
    fence: str


@dataclass(frozen=True, slots=True)
class Named:
    """A name and what it equals: x = 5, f(x) = 2x."""

    name: str
    value: Value
    variable: Ratio | None = None


@dataclass(frozen=True, slots=True)
class Equation:
    r"""A relation that is more than a name and its value, as left minus right; `sign` is =, <, \le or \ne.

    Attributes:
        sign: see above.
        difference: left minus right.
        stated: the number that something of several variables is said to be: 12 of a + b = 12.
    """

    sign: str
    difference: Ratio
    stated: Ratio | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is none: it contradicts itself, or is two numbers side by side."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unread:
    """An answer in a language that is not read here; it may be right nevertheless."""

    reason: str


Value = Scalar | Based | Words | Row | Several | Region | Matrix | Named | Equation | Refused | Unread
