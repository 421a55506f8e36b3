"""Are two values the same, exactly?

What arrives: what the reader made of the gold answer and of the given one, and how strictly to compare. What leaves: a
`Verdict`. Equal and not equal are proofs within the exact arithmetic of `rayreward.grading.sums`; whatever that cannot
prove is undecided and never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from rayreward.grading.intervals import as_union, same_regions
from rayreward.grading.magnitudes import approximately, is_surely_not_zero
from rayreward.grading.sums import PI, Arithmetic, E, Ratio, TooLargeError
from rayreward.grading.units import Unit
from rayreward.grading.values import (
    Based,
    Equation,
    Matrix,
    Named,
    Refused,
    Region,
    Row,
    Scalar,
    Several,
    Unread,
    Value,
    Words,
)

_PERCENT = re.compile(r"percent|%", re.IGNORECASE)

_DIGITS = re.compile(r"\( .*\d")
"""Of a function's argument, in a name."""

_MAX_PAIRED = 60
"""Values of a list that are compared pair by pair."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How strictly answers are compared.

    Attributes:
        relative_tolerance: share of the gold number that a number may be off.
        absolute_tolerance: how much it may be off.
        question: the prompt: where it asks for a percentage, 20 and 20 % are the same answer to it.
    """

    relative_tolerance: float = 0.0
    absolute_tolerance: float = 0.0
    question: str = ""

    @property
    def asks_for_percent(self) -> bool:
        """Whether the question names percent; looked at only where an answer has the sign that the other lacks."""
        return _PERCENT.search(self.question) is not None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Equal, not equal, or (None) undecided, and why."""

    is_equal: bool | None
    reason: str


EXACT = Terms()
SAME_TEXT, SAME_NUMBER = Verdict(True, "the same text"), Verdict(True, "the same number")
ANOTHER_NUMBER = Verdict(False, "another number")


def compare_values(gold: Value, given: Value, terms: Terms) -> Verdict:
    """Compare two answers that were read."""
    if isinstance(gold, Scalar) and isinstance(given, Scalar):
        return _compare_scalars(gold, given, terms)
    if isinstance(given, Refused):
        return Verdict(False, f"no answer: {given.reason}")
    if isinstance(gold, Refused | Unread) or isinstance(given, Unread):
        why = given.reason if isinstance(given, Unread) else gold.reason if isinstance(gold, Refused | Unread) else ""
        return Verdict(None, f"not read: {why}")
    if isinstance(gold, Named) or isinstance(given, Named):
        return _compare_named(gold, given, terms)
    if isinstance(gold, Region) or isinstance(given, Region):
        return _compare_regions(gold, given)
    if isinstance(gold, Several) or isinstance(given, Several):
        return _compare_several(gold, given, terms)
    if isinstance(gold, Row) and isinstance(given, Row):
        if (gold.opening, gold.closing) != (given.opening, given.closing):
            return Verdict(False, f"{given.opening}…{given.closing} where {gold.opening}…{gold.closing} is right")
        return _compare_in_order(gold.items, given.items, terms)
    if isinstance(gold, Matrix) and isinstance(given, Matrix):
        if gold.fence != given.fence or [len(row) for row in gold.rows] != [len(row) for row in given.rows]:
            return Verdict(False, "a matrix of another form")
        return _compare_in_order(
            [cell for row in gold.rows for cell in row], [cell for row in given.rows for cell in row], terms
        )
    if isinstance(gold, Equation) and isinstance(given, Equation):
        return _compare_equations(gold, given)
    if isinstance(gold, Scalar) and isinstance(given, Equation) and given.stated is not None:
        return _compare_ratios(gold.ratio, given.stated, terms)  # a + b = 12 where 12 is asked for
    if isinstance(gold, Matrix | Row) and isinstance(given, Matrix | Row):
        return Verdict(None, "a vector in another form")
    if isinstance(gold, Words | Based) and type(gold) is type(given):
        is_equal = gold == given or (isinstance(given, Words) and _CLOCK.sub("", given.text) == _clock_of(gold))
        return Verdict(is_equal, "compared as text")
    return Verdict(False, f"{_KINDS[type(given)]} where {_KINDS[type(gold)]} is right")


def _clock_of(gold: Value) -> str | None:
    """A time of the day without morning or evening, None where it is another text."""
    return gold.text if isinstance(gold, Words) and re.fullmatch(r"\d+ : \d+", gold.text) else None


_CLOCK = re.compile(r" [ap]m$")
_KINDS: dict[type, str] = {
    Scalar: "a number or an expression", Based: "a number in a base", Words: "words", Row: "values in brackets",
    Matrix: "a matrix", Equation: "an equation",
}  # fmt: skip


def _compare_scalars(gold: Scalar, given: Scalar, terms: Terms) -> Verdict:
    if gold.is_percent != given.is_percent and not terms.asks_for_percent:
        return Verdict(False, "a percentage and a number are not the same")
    if _are_other_units(gold.unit, given.unit) and not (gold.is_percent or given.is_percent):
        return Verdict(False, f"{given.unit.name} where {gold.unit.name} is right")
    return _compare_ratios(gold.ratio, given.ratio, terms)


def _are_other_units(gold: Unit, given: Unit) -> bool:
    return gold.is_known and given.is_known and gold.name != given.name


def _compare_ratios(gold: Ratio, given: Ratio, terms: Terms) -> Verdict:
    wanted, found = gold.number, given.number
    if wanted is not None and found is not None:
        if wanted == found:
            return SAME_NUMBER
        if _is_close(wanted, found, terms):
            return Verdict(True, "within the tolerance")
        return ANOTHER_NUMBER
    try:
        difference = Arithmetic().difference(gold, given)
    except TooLargeError as error:
        return Verdict(None, str(error))
    if not difference:
        return Verdict(True, "the same expression")
    if (terms.relative_tolerance or terms.absolute_tolerance) and _are_close(gold, given, terms):
        return Verdict(True, "within the tolerance")
    atoms = {atom for monomial in difference for atom, _ in monomial}
    if all(atom.kind != "function" for atom in atoms) and not {PI, E} <= atoms:
        return Verdict(False, "another expression")
    if is_surely_not_zero(difference):
        return Verdict(False, "another value")
    return Verdict(None, "equal or nearly so, which exact arithmetic cannot prove")


def _are_close(gold: Ratio, given: Ratio, terms: Terms) -> bool:
    wanted, found = approximately(gold), approximately(given)
    return wanted is not None and found is not None and _is_close(Fraction(wanted), Fraction(found), terms)


def _is_close(gold: Fraction, given: Fraction, terms: Terms) -> bool:
    allowed = max(Fraction(terms.relative_tolerance) * abs(gold), Fraction(terms.absolute_tolerance))
    return abs(gold - given) <= allowed if allowed else False


def _compare_named(gold: Value, given: Value, terms: Terms) -> Verdict:
    if isinstance(gold, Named) and isinstance(given, Named):
        if gold.name != given.name and gold.variable is not None and given.variable is not None:
            ones, others = _as_difference(gold), _as_difference(given)
            if ones is not None and others is not None:
                return _compare_equations(ones, others)
            return Verdict(False, f"{given.name} where {gold.name} is asked for")
        if gold.name != given.name and _DIGITS.search(gold.name) and _DIGITS.search(given.name):
            return Verdict(False, f"{given.name} where {gold.name} is asked for")  # f(2) = 5 is not f(3) = 5
        return compare_values(gold.value, given.value, terms)
    if isinstance(given, Equation) and isinstance(gold, Named):
        equation = _as_difference(gold)
        return _compare_equations(equation, given) if equation else Verdict(None, "an equation where a value is right")
    if isinstance(gold, Equation) and isinstance(given, Named):
        equation = _as_difference(given)
        return _compare_equations(gold, equation) if equation else Verdict(False, "a value where an equation is right")
    if isinstance(gold, Named):
        return compare_values(gold.value, given, terms)
    if isinstance(given, Named):
        if isinstance(gold, Several):
            return _compare_several(gold, given, terms)
        return compare_values(gold, given.value, terms)
    raise TypeError("neither value has a name; this is a bug in rayreward")


def _as_difference(named: Named) -> Equation | None:
    if named.variable is None or not isinstance(named.value, Scalar):
        return None
    return Equation("=", Arithmetic().add(named.variable, named.value.ratio, -1))


def _compare_equations(gold: Equation, given: Equation) -> Verdict:
    """One may be the other times a number; an inequality only times a positive one."""
    if gold.sign != given.sign:
        return Verdict(False, f"{given.sign} where {gold.sign} is right")
    try:
        factor = Arithmetic().divide(gold.difference, given.difference)
    except (TooLargeError, ArithmeticError):
        return Verdict(None, "equations that cannot be divided by each other")
    if factor.number is None:
        factor = _proportion(gold.difference, given.difference)
    if factor.number is None:
        atoms = gold.difference.atoms | given.difference.atoms
        is_decided = all(atom.kind == "variable" for atom in atoms)
        return Verdict(False if is_decided else None, "another equation")
    is_right = factor.number > 0 or gold.sign in ("=", r"\ne")
    return Verdict(is_right, "the same equation" if is_right else "an inequality the other way round")


def _proportion(gold: Ratio, given: Ratio) -> Ratio:
    """What the first is times the second, where both have the same terms; else their ratio."""
    ones, others = gold.above, given.above
    if gold.below == given.below and ones.keys() == others.keys():
        factors = {ones[monomial] / others[monomial] for monomial in ones}
        if len(factors) == 1:
            return Ratio.of(factors.pop())
    return Ratio(ones, others)


def _compare_regions(gold: Value, given: Value) -> Verdict:
    ones, others = as_union(gold), as_union(given)
    if isinstance(gold, Equation) or isinstance(given, Equation):
        return Verdict(None, "an interval and an inequality that is not solved")
    if ones is None or others is None:
        return Verdict(False, "an interval against something else")
    if ones.variable and others.variable and ones.variable != others.variable:
        return Verdict(False, f"{others.variable} where {ones.variable} is asked for")
    found = same_regions(ones, others, _same_bound)
    return Verdict(
        found, {True: "the same intervals", False: "other intervals", None: "intervals of unclear order"}[found]
    )


def _same_bound(gold: Ratio | None, given: Ratio | None) -> bool | None:
    if gold is None or given is None:
        return gold is given
    return _compare_ratios(gold, given, EXACT).is_equal


def _compare_several(gold: Value, given: Value, terms: Terms) -> Verdict:
    if isinstance(gold, Several) and isinstance(given, Row):
        if all(isinstance(value, Named) for value in gold.values):
            return _compare_in_order(gold.values, given.items, terms)
        return _compare_lists_and_rows(gold, given, terms)
    if isinstance(gold, Row) and isinstance(given, Several):
        if all(isinstance(value, Named) for value in given.values):  # x = 1, y = 2 for (1, 2)
            return _compare_in_order(gold.items, given.values, terms)
        return _compare_lists_and_rows(given, gold, terms)
    if isinstance(gold, Several) and isinstance(given, Named):
        named: Value = given.value
        if isinstance(named, Row) and all(isinstance(value, Named) for value in gold.values):  # (a, b) = (5, 7)
            return _compare_in_order(gold.values, named.items, terms)
        given = named if isinstance(named, Several) else Several((given,))
    wanted = _unnamed(gold.values if isinstance(gold, Several) else (gold,))
    found = _unnamed(given.values if isinstance(given, Several) else (given,))
    if len(wanted) != len(found):
        return Verdict(False, f"{len(found)} values where {len(wanted)} {'is' if len(wanted) == 1 else 'are'} right")
    if len(wanted) > _MAX_PAIRED:
        return _compare_in_order(wanted, found, terms)
    return _compare_without_order(wanted, found, terms)


def _compare_lists_and_rows(several: Several, row: Row, terms: Terms) -> Verdict:
    """A list against values in round brackets: the same in the same order, unless a pair could be an interval."""
    if several.is_set or len(row.items) < 3 or (row.opening, row.closing) != ("(", ")"):
        return Verdict(False, f"brackets {row.opening}…{row.closing} on one side only")
    return _compare_in_order(several.values, row.items, terms)


def _unnamed(values: Sequence[Value]) -> Sequence[Value]:
    """`x = 1, x = 2` and `x = 1, 2` are 1, 2; with several names they stay, for they say which is which."""
    names = {value.name for value in values if isinstance(value, Named)}
    if len(names) != 1 or not isinstance(values[0], Named):
        return values
    return [value.value if isinstance(value, Named) else value for value in values]


def _compare_in_order(gold: Sequence[Value], given: Sequence[Value], terms: Terms) -> Verdict:
    if len(gold) != len(given):
        return Verdict(False, f"{len(given)} values where {len(gold)} are right")
    undecided = None
    for at, (one, other) in enumerate(zip(gold, given, strict=True)):
        verdict = compare_values(one, other, terms)
        if verdict.is_equal is False:
            return Verdict(False, f"value {at + 1}: {verdict.reason}")
        if verdict.is_equal is None:
            undecided = undecided or Verdict(None, f"value {at + 1}: {verdict.reason}")
    return undecided or Verdict(True, "the same values in order")


def _compare_without_order(gold: Sequence[Value], given: Sequence[Value], terms: Terms) -> Verdict:
    left, unclear = list(given), []
    for one in gold:
        verdicts = [compare_values(one, other, terms).is_equal for other in left]
        if True in verdicts:
            left.pop(verdicts.index(True))
        elif None in verdicts:
            unclear.append(one)
        else:
            return Verdict(False, "a value is missing")
    return Verdict(None, "a value that cannot be told") if unclear else Verdict(True, "the same values")
