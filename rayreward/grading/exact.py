"""Are two answers the same, exactly?

What arrives: the gold answer's text, the given one's, and how strictly to compare. What leaves: a `Verdict`: equal, not
equal, or undecided, and why. Equal and not equal are proofs within the exact arithmetic of `rayreward.grading.sums`;
whatever that cannot prove is undecided and never guessed. An answer that hedges, contradicts itself or holds several
values where one is wanted is not equal.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from rayreward.grading.choices import chosen_letter, chosen_letters, letter_and_value
from rayreward.grading.intervals import as_region, same_regions
from rayreward.grading.magnitudes import approximately, is_surely_not_zero
from rayreward.grading.reader import SEPARATORS, read_answer, split_at
from rayreward.grading.relations import name_of, relation_signs
from rayreward.grading.sums import PI, Arithmetic, E, Ratio, TooLargeError
from rayreward.grading.tokens import joined, tokenise
from rayreward.grading.units import SHORT_UNITS, Unit
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
_WIDE_SPACE = re.compile(r"\\q?quad\b")
_OPERATORS = frozenset(
    (r"\int", r"\iint", r"\iiint", r"\oint", r"\sum", r"\prod", r"\lim", r"\det", r"\bmod", r"\pmod", r"\mod", r"\gcd",
     r"\lcm", r"\max", r"\min", r"\Gamma", r"\sup", r"\inf", r"\partial", r"\nabla")
)  # fmt: skip
"""Work that an answer must not leave to its reader, unless the gold answer does so too."""

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


@dataclass(frozen=True, slots=True)
class Verdict:
    """Equal, not equal, or (None) undecided, and why."""

    is_equal: bool | None
    reason: str


EXACT = Terms()
_SAME_TEXT, _SAME_NUMBER = Verdict(True, "the same text"), Verdict(True, "the same number")
_ANOTHER_NUMBER = Verdict(False, "another number")


def compare(gold: str, given: str, terms: Terms = EXACT) -> Verdict:
    r"""Compare two answers.

    Example:
        >>> compare("0.5", r"\dfrac{1}{2}").is_equal, compare("5", r"5\text{ or }12").reason
        (True, '2 values where 1 is right')
    """
    if gold == given:
        return _SAME_TEXT
    if not (terms.relative_tolerance or terms.absolute_tolerance) and _is_plain(gold) and _is_plain(given):
        return _SAME_NUMBER if int(gold) == int(given) else _ANOTHER_NUMBER
    letters = chosen_letters(gold)
    if letters is not None and (chosen := chosen_letters(given)) is not None:
        return Verdict(chosen == letters, f"choices {', '.join(chosen)}, {', '.join(letters)} are right")
    letter = chosen_letter(gold)
    if letter is not None and gold.strip() not in ("e", "i"):
        return _compare_letter(letter, given)
    labelled = letter_and_value(gold)
    if labelled is not None and chosen_letter(given) is not None:
        return _compare_letter(labelled[0], given)
    verdict = _compare_texts(gold, given, terms)
    if not verdict.is_equal:
        chosen = letter_and_value(given)
        if chosen is not None:
            other = _compare_texts(gold, chosen[1], terms)
            verdict = other if other.is_equal else verdict
    return verdict


def _is_plain(text: str) -> bool:
    """Whether it is nothing but a few digits: half of all answers are, and reading them costs most of grading them."""
    return text.isdigit() and len(text) < 19 and text.isascii()


def _compare_letter(letter: str, given: str) -> Verdict:
    chosen = chosen_letter(given)
    if chosen is None:
        with_value = letter_and_value(given)
        chosen = with_value[0] if with_value else None
    if chosen is not None:
        return Verdict(chosen == letter, f"choice {chosen}, {letter} is right")
    tokens = tokenise(given)
    signs = relation_signs(tokens)
    if len(signs) == 1 and name_of(tokens[: signs[0]]) is not None:  # x = (C)
        return _compare_letter(letter, given.rpartition("=")[2])
    return Verdict(False, f"no choice, {letter} is right")


def _compare_texts(gold: str, given: str, terms: Terms) -> Verdict:
    wanted, found = read_answer(gold), read_answer(given)
    if r"quad" in given and not isinstance(wanted, Several) and (count := _count_spread(gold, given)) > 1:
        return Verdict(False, f"{count} values where 1 is right")
    verdict = _compare_values(wanted, found, terms)
    if isinstance(found, Unread) and not isinstance(wanted, Unread | Refused):
        verdict = _compare_unread(gold, given, terms) or verdict
    if verdict.is_equal or isinstance(found, Refused):
        return verdict
    if "," in gold and "," in given:  # 1,234 may be two values
        other = _compare_values(read_answer(gold, commas_group=False), read_answer(given, commas_group=False), terms)
        if other.is_equal:
            return other
    has_words = isinstance(wanted, Words) or isinstance(found, Words)
    if (verdict.is_equal is None or has_words) and _spelled(gold) == _spelled(given):
        return Verdict(True, "the same text but for its layout")
    return verdict


def _count_spread(gold: str, given: str) -> int:
    r"""How many values stand apart by ``\quad``, where the gold answer has no such space."""
    if _WIDE_SPACE.search(gold):
        return 1
    return sum(not isinstance(read_answer(part), Words) for part in _WIDE_SPACE.split(given) if part.strip())


def _compare_unread(gold: str, given: str, terms: Terms) -> Verdict | None:
    """What can be said of an answer that is not read here: its hedges and contradictions show without that."""
    wanted, found = tokenise(gold, SHORT_UNITS), tokenise(given, SHORT_UNITS)
    value_counts = [len(list(split_at(tokens, SEPARATORS))) for tokens in (wanted, found)]
    if value_counts[0] < value_counts[1] and value_counts[0] == 1:
        return Verdict(False, f"{value_counts[1]} values where 1 is right")
    left_open = {token.text for token in found} & _OPERATORS - {token.text for token in wanted}
    if left_open:  # the question's own integral is no answer to it
        return Verdict(False, f"{min(left_open)} is not worked out")
    signs = relation_signs(found)
    if signs and not relation_signs(wanted) and name_of(found[: signs[0]]) is None:
        return Verdict(False, "a relation where a value is right")
    if ("%" in gold) != ("%" in given) and not _PERCENT.search(terms.question):
        return Verdict(False, "a percentage and a number are not the same")
    return None


def _spelled(text: str) -> str:
    return joined(tokenise(text)).replace("{ ", "").replace(" }", "")


def _compare_values(gold: Value, given: Value, terms: Terms) -> Verdict:
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
    if isinstance(gold, Matrix | Row) and isinstance(given, Matrix | Row):
        return Verdict(None, "a vector in another form")
    if isinstance(gold, Words | Based) and type(gold) is type(given):
        return Verdict(gold == given, "compared as text")
    return Verdict(False, f"{_KINDS[type(given)]} where {_KINDS[type(gold)]} is right")


_KINDS: dict[type, str] = {
    Scalar: "a number or an expression", Based: "a number in a base", Words: "words", Row: "values in brackets",
    Matrix: "a matrix", Equation: "an equation",
}  # fmt: skip


def _compare_scalars(gold: Scalar, given: Scalar, terms: Terms) -> Verdict:
    if gold.is_percent != given.is_percent and not _PERCENT.search(terms.question):
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
            return _SAME_NUMBER
        if _is_close(wanted, found, terms):
            return Verdict(True, "within the tolerance")
        return _ANOTHER_NUMBER
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
        return _compare_values(gold.value, given.value, terms)
    if isinstance(given, Equation) and isinstance(gold, Named):
        equation = _as_difference(gold)
        return _compare_equations(equation, given) if equation else Verdict(None, "an equation where a value is right")
    if isinstance(gold, Equation) and isinstance(given, Named):
        equation = _as_difference(given)
        return _compare_equations(gold, equation) if equation else Verdict(False, "a value where an equation is right")
    if isinstance(gold, Named):
        return _compare_values(gold.value, given, terms)
    if isinstance(given, Named):
        if isinstance(gold, Several):
            return _compare_several(gold, given, terms)
        return _compare_values(gold, given.value, terms)
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
    ones, others = as_region(gold), as_region(given)
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
        verdict = _compare_values(one, other, terms)
        if verdict.is_equal is False:
            return Verdict(False, f"value {at + 1}: {verdict.reason}")
        if verdict.is_equal is None:
            undecided = undecided or Verdict(None, f"value {at + 1}: {verdict.reason}")
    return undecided or Verdict(True, "the same values in order")


def _compare_without_order(gold: Sequence[Value], given: Sequence[Value], terms: Terms) -> Verdict:
    left, unclear = list(given), []
    for one in gold:
        verdicts = [_compare_values(one, other, terms).is_equal for other in left]
        if True in verdicts:
            left.pop(verdicts.index(True))
        elif None in verdicts:
            unclear.append(one)
        else:
            return Verdict(False, "a value is missing")
    return Verdict(None, "a value that cannot be told") if unclear else Verdict(True, "the same values")
