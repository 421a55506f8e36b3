r"""Relations: names and their values, equations, inequalities, chains.

What arrives: the tokens of an answer with ``=``, ``<``, ``\in`` and the like, and how to read a side of it. What
leaves: the value that it states. ``x = 5`` names one; ``2 + 3 = 5`` is 5; ``12 = 13`` contradicts itself and is
refused; ``\frac13 \approx 0.333`` is a third where the decimals are that third's; ``2 < x \le 3`` is an interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

from rayreward.grading.expressions import UnreadableError
from rayreward.grading.magnitudes import approximately, is_surely_not_zero
from rayreward.grading.sums import INFINITY, Arithmetic, Ratio
from rayreward.grading.tokens import Token
from rayreward.grading.values import Equation, Named, Piece, Refused, Region, Scalar, Value

ReadSide = Callable[[Sequence[Token]], Value]

_SIGNS = frozenset(("=", "<", ">", r"\le", r"\ge", r"\ne", r"\approx", r"\in", r"\equiv", r"\sim", r"\to", r"\implies",
                    r"\Rightarrow", r"\rightarrow", r"\iff", r"\Leftrightarrow", r"\cong", r"\propto"))  # fmt: skip
_READ = frozenset(("=", "<", ">", r"\le", r"\ge", r"\ne", r"\approx", r"\in"))
_NESTED = {"(": 1, "[": 1, r"\{": 1, "{": 1, ")": -1, "]": -1, r"\}": -1, "}": -1}
_FLIPPED = {"<": ">", ">": "<", r"\le": r"\ge", r"\ge": r"\le"}


def relation_signs(tokens: Sequence[Token]) -> list[int]:
    """Where relations stand outside of all brackets."""
    depth, found = 0, []
    for at, token in enumerate(tokens):
        depth += _NESTED.get(token.text, 0)
        if depth <= 0 and token.text in _SIGNS:
            found.append(at)
    return found


def read_relation(tokens: Sequence[Token], read: ReadSide) -> Value:
    """What a relation states."""
    places = relation_signs(tokens)
    if places[0] == 0 and tokens[0].text in ("=", r"\approx"):  # the left side is in the sentence before
        rest = tokens[1:]
        return read_relation(rest, read) if relation_signs(rest) else read(rest)
    signs = [tokens[at].text for at in places]
    if not set(signs) <= _READ:
        raise UnreadableError("a relation that is not read")
    bounds = [-1, *places, len(tokens)]
    sides = [tokens[start + 1 : end] for start, end in pairwise(bounds)]
    if signs == [r"\in"]:
        return read(sides[1])
    if set(signs) <= {"=", r"\approx"}:
        return _read_equalities(sides, signs, read)
    values = [read(side) for side in sides]
    if (len(signs) <= 2 and set(signs) <= _FLIPPED.keys()) or signs == [r"\ne"]:
        region = _read_inequality(values, signs)
        if region is not None:
            return region
    if len(signs) == 1:
        return _as_equation(signs[0], values[0], values[1])
    raise UnreadableError("a chain of relations that is not read")


def _read_equalities(sides: list[Sequence[Token]], signs: list[str], read: ReadSide) -> Value:
    name = name_of(sides[0])
    if name is not None and len(sides) > 1 and sides[1]:
        value = _one_of_chain([read(side) for side in sides[1:]], signs[1:])
        if isinstance(value, Refused | Named):
            return value
        variable = None
        first = read(sides[0]) if len(sides[0]) == 1 else None
        if isinstance(first, Scalar) and len(first.ratio.variables) == 1:
            variable = first.ratio
        return Named(name, value, variable)
    values = [read(side) for side in sides]
    if len(values) > 2 and _counts_variables(values[0]) > 1 and not any(map(_counts_variables, values[1:])):
        return Named(
            " ".join(token.text for token in sides[0]), _one_of_chain(values[1:], signs[1:])
        )  # a + b = 5 + 7 = 12
    has_variables = any(isinstance(value, Scalar) and value.ratio.variables for value in values)
    if has_variables and signs == ["="]:
        left, right = values
        if isinstance(left, Scalar) and isinstance(right, Scalar):
            if not Arithmetic().difference(left.ratio, right.ratio):
                return right  # (x+1)^2 = x^2+2x+1: the result of a calculation
            last = name_of(sides[1])
            if last is not None and not left.ratio.variables:  # 5 = x
                return Named(last, left, right.ratio)
            return _as_equation("=", left, right)
    return _one_of_chain(values, signs)


def _counts_variables(value: Value) -> int:
    return len(value.ratio.variables) if isinstance(value, Scalar) else 0


def name_of(tokens: Sequence[Token]) -> str | None:
    r"""The name that a left side is, None where it is a calculation: x, f(x), AB, \angle ABC, \text{Area}, P(A)."""
    if not tokens or len(tokens) > _MAX_NAME:
        return None
    texts = [token.text for token in tokens]
    if texts[0] in _ASKED_FOR or _is_call(texts):
        return " ".join(texts).casefold()
    if len(tokens) > 12:
        return None
    if any(token.kind == "number" for at, token in enumerate(tokens) if "_" not in texts[max(0, at - 2) : at]):
        return None
    if set(texts) & {"+", "-", "*", "/", "^", r"\frac", r"\sqrt", r"\pm", "!", "%"}:
        return None
    letters = [token.text for token in tokens if token.kind == "letter"]
    if letters and set(texts) - set(letters) == {"(", ")", ","}:  # (x, y), f(x, y)
        return " ".join(texts).casefold()
    has_words = any(token.kind == "word" for token in tokens) or any(
        token.kind == "command" and token.text in _NAMING for token in tokens
    )
    is_called = len(tokens) > 2 and tokens[0].kind == "letter" and texts[1] in ("(", "_", "'", "[")
    is_product = len(letters) > 1 and not is_called and not has_words and not all(map(str.isupper, letters))
    return None if is_product or not (letters or has_words or len(tokens) == 1) else " ".join(texts).casefold()


_MAX_NAME = 40
_ASKED_FOR = frozenset(
    (r"\int", r"\iint", r"\iiint", r"\oint", r"\sum", r"\prod", r"\lim", r"\det", r"\gcd", r"\lcm", r"\max", r"\min",
     r"\Pr", r"\sup", r"\inf", "gcd", "lcm")
)  # fmt: skip
"""What a question asks for by its sign: on the left of ``=`` it is the name of what stands on the right."""

_FUNCTION_NAMES = frozenset("fghFGHPQCTSE")


def _is_call(texts: Sequence[str]) -> bool:
    """Whether it is a function at given numbers: f(3), f^{-1}(3), C(10, 3), y'(0); or a probability: P(X = 3)."""
    is_derived = len(texts) > 3 and texts[1] == "'" and texts[0] in "xyuv"
    if not (texts[0] in _FUNCTION_NAMES or is_derived) or texts[-1] != ")" or "(" not in texts[1:7]:
        return False
    if texts[0] == "P" and texts[1] == "(" and texts.count(")") == 1:
        return True
    return all(
        text.replace(".", "").isdigit() or text in _FUNCTION_NAMES or text in "(){},-^/'" or text == r"\frac"
        for text in texts[is_derived:]
    )


_NAMING = frozenset((r"\angle", r"\overline", r"\triangle", r"\measuredangle", r"\widehat", r"\overrightarrow"))


def _one_of_chain(values: list[Value], signs: list[str]) -> Value:
    """The value that all links of a chain have; a chain whose links differ is refused."""
    kept = values[0]
    for sign, (left, right) in zip(signs, pairwise(values), strict=True):
        if not (isinstance(left, Scalar) and isinstance(right, Scalar)):
            if left == right:
                continue
            raise UnreadableError("a chain of something else than numbers")
        difference = Arithmetic().difference(left.ratio, right.ratio)
        if sign == r"\approx":
            if not _rounds_to(left.ratio, right.ratio):
                return Refused("its two sides are no roundings of each other")
            continue  # the exact side counts
        if not difference:
            kept = right if kept is left else kept
        elif left.ratio.variables or right.ratio.variables:
            raise UnreadableError("a chain of equations")
        elif all(atom.kind != "function" for monomial in difference for atom, _ in monomial) or is_surely_not_zero(
            difference
        ):
            return Refused("its two sides are not equal")
        else:
            raise UnreadableError("a chain whose sides may be equal or not")
    return kept


def _rounds_to(exact: Ratio, rounded: Ratio) -> bool:
    """Whether one is the other cut or rounded to the decimals that it has."""
    value, number = approximately(exact), rounded.number
    if value is None or number is None:
        return False
    places, denominator = 0, number.denominator
    while denominator > 1 and places < 15:
        places += 1
        denominator = (number * 10**places).denominator
    error, last_place = abs(Fraction(value) - number), Fraction(1, 10**places)
    is_cut = abs(number) <= abs(Fraction(value)) and error < last_place
    return is_cut or error <= last_place / 2


def _as_equation(sign: str, left: Value, right: Value) -> Value:
    if not (isinstance(left, Scalar) and isinstance(right, Scalar)):
        raise UnreadableError("an equation of something else than numbers")
    difference = Arithmetic().add(left.ratio, right.ratio, -1)
    if sign in (">", r"\ge"):
        sign, difference = _FLIPPED[sign], Arithmetic().multiply(Ratio.of(-1), difference)
    # One variable is an equation to be solved (2x = 12); several, what the question asked for (a + b = 12).
    is_asked = len(left.ratio.variables) > 1 or _is_trigonometric(left.ratio)
    is_stated = sign == "=" and is_asked and not right.ratio.variables
    return Equation(sign, difference, right.ratio if is_stated else None)


def _is_trigonometric(ratio: Ratio) -> bool:
    atoms = list(ratio.atoms)
    is_alone = len(atoms) == 1 and ratio == Ratio.of(atoms[0])
    return is_alone and atoms[0].name in ("sin", "cos", "tan", "cot", "sec", "csc")


def _read_inequality(values: list[Value], signs: list[str]) -> Region | None:
    """The interval of a variable between constants, None where it is something else."""
    if not all(isinstance(value, Scalar) for value in values):
        return None
    ratios = [value.ratio for value in values if isinstance(value, Scalar)]
    middle = next((at for at, ratio in enumerate(ratios) if _is_variable(ratio)), None)
    if middle is None or any(ratio.variables for at, ratio in enumerate(ratios) if at != middle):
        return None
    if len(ratios) == 3 and (middle != 1 or (signs[0] in ("<", r"\le")) != (signs[1] in ("<", r"\le"))):
        return None
    low: tuple[Ratio | None, bool] = (None, False)
    high: tuple[Ratio | None, bool] = (None, False)
    for at, ratio in enumerate(ratios):
        if at == middle:
            continue
        sign = signs[min(at, middle)]
        sign = sign if at > middle else _FLIPPED.get(sign, sign)  # as seen from the variable
        bound = (None if INFINITY in ratio.atoms else ratio, sign in (r"\le", r"\ge"))
        if sign in ("<", r"\le"):
            high = bound
        else:
            low = bound
    [name] = ratios[middle].variables
    if signs == [r"\ne"]:
        hole = ratios[1 - middle]
        return Region((Piece(None, False, hole, False), Piece(hole, False, None, False)), name)
    return Region((Piece(*low, *high),), name)


def _is_variable(ratio: Ratio) -> bool:
    atoms = list(ratio.atoms)
    return len(atoms) == 1 and atoms[0].kind == "variable" and ratio == Ratio.of(atoms[0])
