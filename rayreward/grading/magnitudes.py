"""Proofs that two answers differ, by their size.

What arrives: a sum, usually the difference of two answers. What leaves: whether it is surely not zero. Numbers are held
as sign and logarithm, so that a tower of powers is a number as any other and nothing overflows. It never claims what
rounding could have made up: where the terms nearly cancel, or a function is nearly zero, it says that it cannot tell.
Variables stand for fixed positive numbers: two expressions that differ there are not the same.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from rayreward.grading.sums import INFINITY, Atom, I, Monomial, Ratio, Sum

_ROUNDING = 1e-8
"""Share of a term, and of its logarithm, that rounding may have made up; generous to powers of inexact bases."""

_CANCELLED = 1e-3
"""A sum below this share of its terms has lost too many digits to be worked on further."""

_DOMINANT = 60.0
"""A term this much larger, as a logarithm, than the next outweighs all others that a sum may have."""

_PLACES = (1.05, 0.05)
"""Where variables stand: 0 to 0.9 above each of these, by their names. Some functions have no value at the first."""

_NEARLY_ZERO = 1e-6
"""A function's value below this may be zero, as sin(pi) is."""

_MAX_ANGLE = 1e6
"""Angles above it have lost too many digits."""


class _Unknown(ArithmeticError):
    """The size cannot be told."""


class _Size(NamedTuple):
    sign: int
    log: float


def is_surely_not_zero(terms: Sum) -> bool:
    """Whether the sum has a size that rounding cannot explain.

    Example:
        >>> from rayreward.grading.sums import Arithmetic, Ratio
        >>> three, tower = Ratio.of(3), Arithmetic().power(Ratio.of(9), Ratio.of(9**99))
        >>> is_surely_not_zero(Arithmetic().difference(tower, three))
        True
    """
    if any(_is_complex(atom) for monomial in terms for atom, _ in monomial if atom != I):
        return False  # e^{i\pi/3} has a real part and an imaginary one: the two below are not apart
    real: dict[Monomial, Fraction] = {}
    imaginary: dict[Monomial, Fraction] = {}
    for monomial, factor in terms.items():
        without_i = tuple((atom, power) for atom, power in monomial if atom != I)
        (real if len(without_i) == len(monomial) else imaginary)[without_i] = factor
    return any(_has_size(part, at) for part in (real, imaginary) if part for at in range(len(_PLACES)))


def _is_complex(atom: Atom) -> bool:
    return any(one == I or _is_complex(one) for argument in atom.arguments for one in argument.atoms)


def approximately(ratio: Ratio) -> float | None:
    """The value of a constant as a double; None where it has variables or cannot be told."""
    if ratio.variables or INFINITY in ratio.atoms:
        return None
    try:
        value = _float(_ratio_size(ratio, at=0))
    except (_Unknown, ArithmeticError, ValueError):
        return None
    return None if math.isinf(value) else value


def _has_size(terms: Sum, at: int) -> bool:
    try:
        _sum_size(terms, _ROUNDING, at)
    except (_Unknown, ArithmeticError, ValueError):
        return False
    return True


def _sum_size(terms: Sum, lost: float, at: int) -> _Size:
    sizes = [_term_size(monomial, factor, at) for monomial, factor in terms.items()]
    if not sizes:
        raise _Unknown
    logs = sorted(size.log for size in sizes)
    largest = logs[-1]
    if math.isinf(largest) or (len(logs) > 1 and largest - logs[-2] > _DOMINANT + 2 * _ROUNDING * abs(largest)):
        if math.isinf(largest) and (largest < 0 or (len(logs) > 1 and math.isinf(logs[-2]))):
            raise _Unknown  # two sizes beyond all doubles may cancel
        return next(size for size in sizes if size.log == largest)
    scaled = [size.sign * math.exp(size.log - largest) for size in sizes]
    total, weight = math.fsum(scaled), math.fsum(map(abs, scaled))
    if abs(total) <= lost * (1 + abs(largest)) * weight and len(sizes) > 1:
        raise _Unknown
    return _Size(1 if total > 0 else -1, largest + math.log(abs(total)))


def _term_size(monomial: Monomial, factor: Fraction, at: int) -> _Size:
    sign = 1 if factor > 0 else -1
    log = math.log(abs(factor.numerator)) - math.log(factor.denominator)
    for atom, power in monomial:
        size = _atom_size(atom, at)
        if size.sign < 0 and power.denominator % 2 == 0:
            raise _Unknown
        sign *= size.sign if power.numerator % 2 else 1
        log += size.log * float(power)
    if math.isnan(log):
        raise _Unknown
    return _Size(sign, log)


def _ratio_size(ratio: Ratio, at: int) -> _Size:
    if not ratio.above:
        return _Size(1, -math.inf)
    above, below = _sum_size(ratio.above, _CANCELLED, at), _sum_size(ratio.below, _CANCELLED, at)
    return _Size(above.sign * below.sign, above.log - below.log)


def _float(size: _Size) -> float:
    return size.sign * math.exp(size.log)


def _atom_size(atom: Atom, at: int) -> _Size:
    if atom.kind == "variable":
        return _Size(1, math.log(_PLACES[at] + zlib.crc32(atom.name.encode("utf-8", "replace")) % 90_001 / 100_000))
    if atom.kind == "prime":
        return _Size(1, math.log(int(atom.name)))
    if atom.kind == "constant":
        if atom.name not in ("pi", "e"):
            raise _Unknown
        return _Size(1, math.log(math.pi) if atom.name == "pi" else 1.0)
    return _function_size(atom.name, atom.arguments, at)


def _function_size(name: str, arguments: tuple[Ratio, ...], at: int) -> _Size:
    sizes = [_ratio_size(argument, at) for argument in arguments]
    if name == "power":
        base, exponent = sizes
        if base.sign < 0 or math.isinf(base.log) or abs(base.log) < 1e-4:  # 1 to a large power
            raise _Unknown
        size = _Size(1, exponent.sign * _exp(exponent.log) * base.log)
    elif name == "product":
        size = _Size(sizes[0].sign * sizes[1].sign, sizes[0].log + sizes[1].log)
    elif name == "quotient":
        size = _Size(sizes[0].sign * sizes[1].sign, sizes[0].log - sizes[1].log)
    elif name == "binomial":
        size = _Size(1, _log_binomial(*map(_float, sizes)))
    elif name == "abs":
        size = _Size(1, sizes[0].log)
    elif name == "factorial":
        if sizes[0].sign < 0:
            raise _Unknown
        # Above 1e300 the logarithm of a factorial is beyond doubles too.
        size = _Size(1, math.lgamma(_float(sizes[0]) + 1) if sizes[0].log < 690 else math.inf)
    elif name in _FUNCTIONS:
        value = _FUNCTIONS[name](*map(_float, sizes))
        size = _Size(1 if value > 0 else -1, math.log(abs(value)))
    else:
        raise _Unknown
    if math.isnan(size.log) or (name not in ("power", "product", "quotient") and size.log < math.log(_NEARLY_ZERO)):
        raise _Unknown
    return size


def _log_binomial(above: float, below: float) -> float:
    is_central = above > 0 and 1e-3 < below / above < 1 - 1e-3
    if not 0 <= below <= above or (above > 1e6 and not is_central):  # three large logarithms nearly cancel
        raise _Unknown
    return math.lgamma(above + 1) - math.lgamma(below + 1) - math.lgamma(above - below + 1)


def _exp(log: float) -> float:
    return math.exp(log) if log < 709 else math.inf


def _of_angle(function: Callable[[float], float], *, is_inverted: bool = False) -> Callable[[float], float]:
    def value(angle: float) -> float:
        if abs(angle) > _MAX_ANGLE:
            raise _Unknown
        found = function(angle)
        if abs(found) > 1 / _NEARLY_ZERO or (is_inverted and abs(found) < _NEARLY_ZERO):
            raise _Unknown
        return 1 / found if is_inverted else found

    return value


_FUNCTIONS: dict[str, Callable[..., float]] = {
    "sin": _of_angle(math.sin), "cos": _of_angle(math.cos), "tan": _of_angle(math.tan),
    "csc": _of_angle(math.sin, is_inverted=True), "sec": _of_angle(math.cos, is_inverted=True),
    "cot": _of_angle(math.tan, is_inverted=True), "arcsin": math.asin, "arccos": math.acos, "arctan": math.atan,
    "sinh": math.sinh, "cosh": math.cosh, "tanh": math.tanh, "ln": math.log, "logarithm": lambda x, b: math.log(x, b),
}  # fmt: skip
"""Functions whose value is known; a plain "log" is not among them: its base is 10 or e, as the author likes."""
