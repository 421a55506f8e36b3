"""Exact arithmetic of answers: sums of products of fractions, roots of primes, pi, e, i, variables and functions.

What arrives: numbers and names that the reader found. What leaves: a `Ratio`, whose two sums have one form for one
value as far as roots, pi, i and variables go, so that equal answers have a difference of exactly nothing. It promises
that work and size are bounded: what is larger raises `TooLargeError`. Powers and functions that it cannot work out
stay as atoms of their own, compared by what they are made of.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from rayreward.grading.primes import factorised

MAX_TERMS = 300
"""Terms of one sum; a model's answer has a dozen, and an expanded power grows without end."""

MAX_BITS = 12_000
"""Bits of one number, 3,600 digits: above it multiplying begins to cost time."""

MAX_WORK = 20_000
"""Products of two terms in one answer: about 50 ms at worst."""

MAX_EXPONENT = 64
"""Whole powers that are multiplied out; higher ones of sums stay as they are written."""

MAX_EXPANDED = 130
"""Terms of a power that is multiplied out."""

MAX_PRODUCT = 900
"""Pairs of terms in a product that is multiplied out."""

MAX_KEY_CHARS = 4_000
"""Of the written form of a function with what it is applied to."""


class TooLargeError(ArithmeticError):
    """An answer that exact arithmetic would take too long for."""


@dataclass(frozen=True, slots=True)
class Atom:
    """What cannot be taken apart further: a variable, a constant, a prime under a root, a function of something.

    Attributes:
        kind: "variable", "constant", "prime" or "function".
        name: x, pi, 2, sin.
        key: unlike that of every other atom; written from kind, name and arguments.
        arguments: what a function is applied to.
    """

    kind: str
    name: str
    key: str
    arguments: tuple[Ratio, ...] = field(default=(), compare=False)


Monomial = tuple[tuple[Atom, Fraction], ...]
"""Atoms to their powers, by key. A prime's power is in [0, 1), that of i is 0 or 1: the rest is in the coefficient."""

Sum = Mapping[Monomial, Fraction]
"""Coefficients by monomial; none is zero."""

_UNIT: Sum = {(): Fraction(1)}
PI = Atom("constant", "pi", "c:pi")
E = Atom("constant", "e", "c:e")
I = Atom("constant", "i", "c:i")  # noqa: E741 - its name in every textbook
INFINITY = Atom("constant", "infinity", "c:oo")


def variable(name: str) -> Atom:
    """The atom of a variable."""
    return Atom("variable", name, f"v:{name}")


@dataclass(frozen=True, slots=True)
class Ratio:
    """A sum over a sum; a denominator of one term is always 1, its term having gone into the sum above."""

    above: Sum
    below: Sum = field(default_factory=lambda: _UNIT)

    @staticmethod
    def of(value: Fraction | int | Atom) -> Ratio:
        """A number, or a single atom."""
        if isinstance(value, Atom):
            return Ratio({((value, Fraction(1)),): Fraction(1)})
        return Ratio({(): Fraction(value)} if value else {})

    @property
    def number(self) -> Fraction | None:
        """The fraction that this is, None where it is more than one."""
        if self.below != _UNIT:
            return None
        if not self.above:
            return Fraction(0)
        return self.above.get(()) if len(self.above) == 1 else None

    @property
    def atoms(self) -> set[Atom]:
        """All that it is made of, but not what its functions are applied to."""
        return {atom for part in (self.above, self.below) for monomial in part for atom, _ in monomial}

    @property
    def variables(self) -> set[str]:
        """The names of its variables, those inside functions too."""
        found = set()
        for atom in self.atoms:
            if atom.kind == "variable":
                found.add(atom.name)
            for argument in atom.arguments:
                found |= argument.variables
        return found

    @property
    def key(self) -> str:
        """One text for one form."""
        return _written(self.above) + ("" if self.below == _UNIT else f"/({_written(self.below)})")


def _written(terms: Sum) -> str:
    return "+".join(sorted(f"{factor}{_written_monomial(monomial)}" for monomial, factor in terms.items()))


def _written_monomial(monomial: Monomial) -> str:
    return "".join(f"*{atom.key}^{power}" for atom, power in monomial)


def function(name: str, *arguments: Ratio) -> Ratio:
    """A function that stays as it is written.

    Raises:
        TooLargeError: it would be longer than is compared here.
    """
    key = f"f:{name}({','.join(argument.key for argument in arguments)})"
    if len(key) > MAX_KEY_CHARS:
        raise TooLargeError("a function of too much")
    return Ratio.of(Atom("function", name, key, arguments))


class Arithmetic:
    """Adds and multiplies within a budget of work.

    Raises:
        TooLargeError: from every method, where the budget is spent or a result is too large.
        ZeroDivisionError: from those that divide.
    """

    def __init__(self) -> None:
        self._work_left = MAX_WORK

    def add(self, first: Ratio, second: Ratio, sign: int = 1) -> Ratio:
        """The sum, or with ``sign=-1`` the difference."""
        if first.below == second.below:
            return Ratio(self._added(first.above, second.above, sign), first.below)
        first, second = _within_reach(first, second)
        above = self._added(
            self._multiplied(first.above, second.below), self._multiplied(second.above, first.below), sign
        )
        return self._over(above, self._multiplied(first.below, second.below))

    def multiply(self, first: Ratio, second: Ratio) -> Ratio:
        """The product; as a function of both where it would have too many terms."""
        if len(first.above) * len(second.above) > MAX_PRODUCT or len(first.below) * len(second.below) > MAX_PRODUCT:
            return function("product", first, second)
        return self._over(self._multiplied(first.above, second.above), self._multiplied(first.below, second.below))

    def divide(self, first: Ratio, second: Ratio) -> Ratio:
        """The quotient."""
        return self._over(self._multiplied(first.above, second.below), self._multiplied(first.below, second.above))

    def difference(self, first: Ratio, second: Ratio) -> Sum:
        """Nothing where both are equal; else something that is as little zero as they are alike."""
        first, second = _within_reach(first, second)
        return self._added(self._multiplied(first.above, second.below), self._multiplied(second.above, first.below), -1)

    def power(self, base: Ratio, exponent: Ratio) -> Ratio:
        """`base` to the `exponent`; as a function of both where no simpler form is known."""
        if base.number == 1:
            return base
        if exponent.number is not None:
            return self._rational_power(base, exponent.number)
        if base == Ratio.of(E) and (turned := self._on_circle(exponent)) is not None:
            return turned
        whole = exponent.above.get((), Fraction(0))
        if exponent.below == _UNIT and whole and whole.denominator == 1:  # 2^{n+1} = 2 * 2^n
            rest = Ratio({monomial: factor for monomial, factor in exponent.above.items() if monomial})
            return self.multiply(self._rational_power(base, whole), function("power", base, rest))
        return function("power", base, exponent)

    def _on_circle(self, exponent: Ratio) -> Ratio | None:
        """A power of e to a part of i pi whose sine and cosine are roots, None elsewhere."""
        share = self.divide(exponent, self.multiply(Ratio.of(I), Ratio.of(PI))).number
        if share is None:
            return None
        cosine, sine = _half_turn_cosine(share), _half_turn_cosine(share - Fraction(1, 2))
        if cosine is None or sine is None:
            return None
        parts = [
            self.multiply(Ratio.of(sign), self._rational_power(Ratio.of(square), Fraction(1, 2)))
            for sign, square in (cosine, sine)
        ]
        return self.add(parts[0], self.multiply(Ratio.of(I), parts[1]), 1)

    def _rational_power(self, base: Ratio, power: Fraction) -> Ratio:
        if power == 0 or not base.above:
            if power <= 0 and not base.above:
                raise ZeroDivisionError("zero to a power that is not positive")
            return Ratio.of(1 if power == 0 else 0)
        if len(base.above) == 1 and base.below == _UNIT:
            [(monomial, factor)] = base.above.items()
            found = self._monomial_power(monomial, factor, power)
            return function("power", base, Ratio.of(power)) if found is None else found
        count = max(len(base.above), len(base.below))
        if power.denominator != 1 or not _is_short_power(count, abs(int(power))):
            return function("power", base, Ratio.of(power))
        result = Ratio.of(1)
        for _ in range(abs(int(power))):
            result = self.multiply(result, base)
        return self.divide(Ratio.of(1), result) if power < 0 else result

    def _monomial_power(self, monomial: Monomial, factor: Fraction, power: Fraction) -> Ratio | None:
        """One term to a power, None where that has no simpler form."""
        raised: dict[Atom, Fraction] = {}
        is_whole = power.denominator == 1
        for atom, old in monomial:
            # The root of x^2 is no x where x is negative, and i has two roots; primes, pi and e are positive.
            may_be_negative = atom.kind in ("variable", "function") or atom is I
            if not is_whole and may_be_negative and (atom is I or (old % 2 == 0 and (old * power) % 2 != 0)):
                return None
            raised[atom] = old * power
        if is_whole:
            if _bits(factor) * abs(int(power)) > MAX_BITS:
                return None
            return self._folded(raised, factor ** int(power))
        if factor < 0:
            if power.denominator != 2:
                return None
            raised[I] = raised.get(I, Fraction(0)) + power.numerator % 4
        for number, way in ((abs(factor.numerator), power), (factor.denominator, -power)):
            primes = factorised(number)
            if primes is None or any(count * abs(power) * number.bit_length() > MAX_BITS for count in primes.values()):
                return None
            for prime, count in primes.items():
                atom = Atom("prime", str(prime), f"p:{prime}")
                raised[atom] = raised.get(atom, Fraction(0)) + count * way
        return self._folded(raised, Fraction(1))

    def _folded(self, powers: Mapping[Atom, Fraction], factor: Fraction) -> Ratio:
        more, monomial = _fold(powers)
        return Ratio({monomial: factor * more})

    def _over(self, above: Sum, below: Sum) -> Ratio:
        if below == _UNIT:
            return Ratio(above)
        if not below:
            raise ZeroDivisionError("a division by zero")
        if len(below) == 1:
            [(monomial, factor)] = below.items()
            more, inverse = _fold({atom: -power for atom, power in monomial})
            return Ratio(self._multiplied(above, {inverse: more / factor}))
        leading = below[min(below, key=_written_monomial)]
        if leading == 1:
            return Ratio(above, below)
        return Ratio(
            {monomial: factor / leading for monomial, factor in above.items()},
            {monomial: factor / leading for monomial, factor in below.items()},
        )

    def _added(self, first: Sum, second: Sum, sign: int) -> Sum:
        total = dict(first)
        self._spend(len(second))
        for monomial, factor in second.items():
            changed = total.get(monomial, Fraction(0)) + sign * factor
            if changed:
                total[monomial] = changed
            else:
                total.pop(monomial, None)
        return _checked(total)

    def _multiplied(self, first: Sum, second: Sum) -> Sum:
        if first == _UNIT:
            return second
        if second == _UNIT:
            return first
        self._spend(len(first) * len(second))
        total: dict[Monomial, Fraction] = {}
        for one, factor in first.items():
            for other, other_factor in second.items():
                more, monomial = _product(one, other)
                changed = total.get(monomial, Fraction(0)) + factor * other_factor * more
                if changed:
                    total[monomial] = changed
                else:
                    total.pop(monomial, None)
        return _checked(total)

    def _spend(self, work: int) -> None:
        self._work_left -= work
        if self._work_left < 0:
            raise TooLargeError("more arithmetic than an answer needs")


def _within_reach(first: Ratio, second: Ratio) -> tuple[Ratio, Ratio]:
    """Both as they are, or as functions of their parts where bringing them together would take too many products."""
    crossed = len(first.above) * len(second.below) + len(second.above) * len(first.below)
    if crossed + len(first.below) * len(second.below) <= MAX_PRODUCT:
        return first, second
    closed = [
        one if one.below == _UNIT else function("quotient", Ratio(one.above), Ratio(one.below))
        for one in (first, second)
    ]
    return closed[0], closed[1]


def _half_turn_cosine(share: Fraction) -> tuple[int, Fraction] | None:
    """Sign and square of the cosine of a share of pi, where the square is a fraction."""
    share = abs(share) % 2
    share = min(share, 2 - share)  # 0 to 1
    sign = 1 if share <= Fraction(1, 2) else -1
    square = _COSINES_SQUARED.get(min(share, 1 - share))
    return None if square is None else (sign, square)


_COSINES_SQUARED = {
    Fraction(0): Fraction(1), Fraction(1, 6): Fraction(3, 4), Fraction(1, 4): Fraction(1, 2),
    Fraction(1, 3): Fraction(1, 4), Fraction(1, 2): Fraction(0),
}  # fmt: skip


def _is_short_power(term_count: int, exponent: int) -> bool:
    """Whether a sum to that power is to be multiplied out: its terms are the ways to choose with repetition."""
    return exponent <= MAX_EXPONENT and math.comb(term_count + exponent - 1, exponent) <= MAX_EXPANDED


def _product(first: Monomial, second: Monomial) -> tuple[Fraction, Monomial]:
    if not first or not second:
        return Fraction(1), first or second
    powers = dict(first)
    for atom, power in second:
        powers[atom] = powers.get(atom, Fraction(0)) + power
    return _fold(powers)


def _fold(powers: Mapping[Atom, Fraction]) -> tuple[Fraction, Monomial]:
    """A product in its one form, and the number that came out of primes and of i."""
    factor, left = Fraction(1), []
    for atom, power in powers.items():
        if atom.kind == "prime":
            whole = math.floor(power)
            if abs(whole) * int(atom.name).bit_length() > MAX_BITS:
                raise TooLargeError("a number of too many digits")
            factor *= Fraction(int(atom.name)) ** whole
            power -= whole
        elif atom is I or atom == I:
            power %= 4
            if power >= 2:
                factor, power = -factor, power - 2
        if power:
            left.append((atom, power))
    return factor, tuple(sorted(left, key=lambda pair: pair[0].key))


def _checked(terms: dict[Monomial, Fraction]) -> Sum:
    if len(terms) > MAX_TERMS or any(_bits(factor) > MAX_BITS for factor in terms.values()):
        raise TooLargeError("a sum of too many terms, or a number of too many digits")
    return terms


def _bits(number: Fraction) -> int:
    return max(number.numerator.bit_length(), number.denominator.bit_length())
