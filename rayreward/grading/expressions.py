r"""Expressions: from tokens to exact numbers.

What arrives: tokens. What leaves: a `Ratio`, and where in the tokens it ended. It reads what answers are written in:
``+ - * /``, products without a sign, powers, ``\frac12`` with and without braces, roots, mixed numbers, factorials and
binomials, functions, absolute values. What it does not know raises `UnreadableError`; two numbers side by side, a
``\pm`` beside another and nesting without end are refused for good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from rayreward.grading.sums import INFINITY, PI, Arithmetic, E, I, Ratio, function, variable
from rayreward.grading.tokens import Token

MAX_DEPTH = 40
"""Levels of brackets, fractions and roots; answers have five. Ten frames of Python each."""

MAX_DIGITS = 2_000
"""Of one number."""

MAX_FACTORIAL = 300
"""Factorials worked out; larger ones stay as they are written."""

_FUNCTIONS = frozenset(
    ("sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "ln", "log", "exp",
     "lg", "max", "min", "gcd", "lcm", "det", "Re", "Im", "arg", "deg")
)  # fmt: skip
_OF_ONE = _FUNCTIONS - {"max", "min", "gcd", "lcm", "det", "Re", "Im", "arg", "deg"}
_GREEK = frozenset(
    ("alpha", "beta", "gamma", "delta", "epsilon", "theta", "lambda", "mu", "nu", "rho", "sigma", "tau", "phi", "psi",
     "omega", "Gamma", "Delta", "Theta", "Lambda", "Omega", "Phi", "Psi", "Sigma", "ell", "zeta", "eta", "xi", "chi",
     "kappa", "hbar")
)  # fmt: skip
_CLOSING = {"(": ")", "[": "]", "{": "}", r"\lfloor": r"\rfloor", r"\lceil": r"\rceil"}
_END = Token("symbol", "")


class UnreadableError(ValueError):
    """What is written is not understood here."""


class RefusedError(ValueError):
    """What is written is no answer, in whatever language."""


class ExpressionReader:
    r"""Reads one expression after another from a list of tokens.

    Args:
        tokens: to read.
        sign: what ``\pm`` stands for, 1 or -1; ``\mp`` stands for the other.
    """

    def __init__(self, tokens: Sequence[Token], *, sign: int = 1) -> None:
        self.tokens = list(tokens)
        self.at = 0
        self.sign = sign
        self.pm_count = 0
        self._depth = 0
        self._in_bars = 0
        self.arithmetic = Arithmetic()

    @property
    def next(self) -> Token:
        """The token to be read; one without text at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else _END

    def take(self, *texts: str) -> bool:
        """Read the next token where it is one of these, which are signs or commands."""
        if self.next.text in texts and self.next.kind in ("symbol", "command") and self.at < len(self.tokens):
            self.at += 1
            return True
        return False

    def expression(self) -> Ratio:
        """Terms, added and subtracted."""
        found = self._term()
        while (sign := self._plus_or_minus()) is not None:
            found = self.arithmetic.add(found, self._term(), sign)
        return found

    def _plus_or_minus(self) -> int | None:
        if self.take("+"):
            return 1
        if self.take("-"):
            return -1
        if self.take(r"\pm"):
            self.pm_count += 1
            return self.sign
        if self.take(r"\mp"):
            self.pm_count += 1
            return -self.sign
        return None

    def _term(self) -> Ratio:
        sign = 1
        while (more := self._plus_or_minus()) is not None:
            sign *= more
        found = self._product()
        return found if sign > 0 else self.arithmetic.multiply(Ratio.of(-1), found)

    def _product(self) -> Ratio:
        found = self._mixed_or_factor()
        while True:
            if self.take("*"):
                self._refuse_second("*")
                factor = self._signed_factor()
                found = self.arithmetic.multiply(found, factor)
            elif self.take("/"):
                factor = self._signed_factor()
                found = self.arithmetic.divide(found, factor)
            elif self._starts_factor():
                if self.next.kind == "number" and self.tokens[self.at - 1].text != "!":  # 50!50! is a product
                    # "1 2", "x 5": a list without commas or a slip, and never the product.
                    raise RefusedError("two values stand side by side")
                factor = self._factor()
                found = self.arithmetic.multiply(found, factor)
            else:
                return found

    def _refuse_second(self, sign: str) -> None:
        if self.take(sign):  # ** is Python's power
            raise UnreadableError("a sign stands twice")

    def _signed_factor(self) -> Ratio:
        is_negative = False
        while self.next.text in ("-", "+") and self.next.kind == "symbol":
            is_negative ^= self.next.text == "-"
            self.at += 1
        factor = self._factor()
        return self.arithmetic.multiply(Ratio.of(-1), factor) if is_negative else factor

    def _starts_factor(self) -> bool:
        kind, text, _ = self.next
        if kind in ("number", "letter"):
            return True
        if kind == "command":
            name = text[1:]
            return name in _FUNCTIONS or name in _GREEK or text in _COMMANDS
        if text == "|":
            return not self._in_bars
        return text in ("(", "{") and self.at < len(self.tokens)

    def _mixed_or_factor(self) -> Ratio:
        r"""A factor; or a whole number with a proper fraction behind it, which is their sum: 1\frac{1}{2}, 1 1/2."""
        first = self.next
        fraction = self._proper_fraction(self.at + 1) if first.kind == "number" and first.text.isdigit() else None
        if fraction is None:
            return self._factor()
        above, below, self.at = fraction
        return Ratio.of(int(first.text[:MAX_DIGITS]) + Fraction(above, below))

    def _proper_fraction(self, at: int) -> tuple[int, int, int] | None:
        r"""Above, below and the end of ``\frac{1}{2}`` or ``1/2`` at that place, where that is smaller than one."""
        texts = [token.text for token in self.tokens[at : at + 7]]
        if len(texts) >= 3 and texts[1] == "/" and texts[0].isdigit() and texts[2].isdigit():
            above, below, end = texts[0], texts[2], at + 3
        elif len(texts) == 7 and texts[0] == r"\frac" and texts[1::3] == ["{", "{"] and texts[3::3] == ["}", "}"]:
            above, below, end = texts[2], texts[5], at + 7
        elif len(texts) >= 2 and texts[0] == r"\frac" and len(texts[1]) == 2:
            above, below, end = texts[1][0], texts[1][1], at + 2
        else:
            return None
        is_read = above.isdigit() and below.isdigit() and len(above) < 20 and len(below) < 20
        return (int(above), int(below), end) if is_read and 0 < int(above) < int(below) else None

    def _factor(self) -> Ratio:
        """A base with what is written behind it: powers, factorials."""
        found = self._base()
        while True:
            if self.next.text == "^" and self._follows(r"\circ"):
                return found  # degrees: a unit, the reader's business
            if self.take("^") or self._takes_two_stars():
                if self.next.text in (r"\prime", "'", "T", r"\top"):
                    raise UnreadableError("a prime or a transposed matrix")
                found = self.arithmetic.power(found, self._argument(is_whole_number=True))
            elif self.take("!"):
                found = self._factorial(found)
            elif self.next.text == "_":
                raise UnreadableError("an index")
            else:
                return found

    def _takes_two_stars(self) -> bool:
        if self.next.text == "*" and self.at + 1 < len(self.tokens) and self.tokens[self.at + 1].text == "*":
            self.at += 2
            return True
        return False

    def _follows(self, text: str) -> bool:
        """Whether the token after the next is this one, braces in between or not."""
        texts = [token.text for token in self.tokens[self.at + 1 : self.at + 3]]
        return bool(texts) and (texts[0] == text or texts == ["{", text])

    def _base(self) -> Ratio:
        self._depth += 1  # all nesting passes here: brackets, fractions, roots, functions
        if self._depth > MAX_DEPTH:
            raise RefusedError(f"it is nested more than {MAX_DEPTH} levels deep")
        found = self._unguarded_base()
        self._depth -= 1
        return found

    def _unguarded_base(self) -> Ratio:
        kind, text, _ = self.next
        if self.at >= len(self.tokens):
            raise UnreadableError("it ends too early")
        if kind == "number":
            self.at += 1
            return Ratio.of(read_number(text))
        if kind == "letter":
            self.at += 1
            return self._letter(text)
        if kind == "symbol" and text in ("(", "{", "["):
            return self._group()
        if text == "|":
            return self._absolute()
        if kind == "command":
            return self._command(text)
        raise UnreadableError(f"{text!r} is not understood")

    def _group(self) -> Ratio:
        closing = _CLOSING[self.next.text]
        self.at += 1
        bars, self._in_bars = self._in_bars, 0
        found = self.expression()
        self._in_bars = bars
        if not self.take(closing):
            raise UnreadableError(f"{closing!r} is missing")
        return found

    def _absolute(self) -> Ratio:
        self.at += 1
        self._in_bars += 1
        found = self.expression()
        self._in_bars -= 1
        if not self.take("|"):
            raise UnreadableError("'|' is missing")
        if found.number is not None:
            return Ratio.of(abs(found.number))
        return function("abs", found)

    def _letter(self, letter: str) -> Ratio:
        name = letter + self._index()
        if name == "i":
            return Ratio.of(I)
        return Ratio.of(E) if name == "e" else Ratio.of(variable(name))

    def _index(self) -> str:
        """An index behind a letter, as part of its name."""
        if not self.take("_"):
            return ""
        if not self.take("{"):
            self.at += 1
            return "_" + self.tokens[self.at - 1].text if self.at <= len(self.tokens) else ""
        written: list[str] = []
        while not self.take("}"):
            if self.at >= len(self.tokens) or len(written) > 8:
                raise UnreadableError("an index without end")
            written.append(self.next.text)
            self.at += 1
        return "_" + "".join(written)

    def _argument(self, *, is_whole_number: bool = False) -> Ratio:
        r"""What a command or a power applies to: a group, or the next sign alone. ``\frac12`` takes a digit each."""
        if self.next.kind == "number" and not is_whole_number and len(self.next.text) > 1:
            first, rest = self.next.text[0], self.next.text[1:]
            if not self.next.text.isdigit():
                raise UnreadableError("a decimal where a digit is expected")
            self.tokens[self.at] = Token("number", rest)
            return Ratio.of(int(first))
        if self.take("-"):
            return self.arithmetic.multiply(Ratio.of(-1), self._base())
        return self._base()

    def _command(self, text: str) -> Ratio:
        self.at += 1
        name = text[1:]
        if text in _COMMANDS:
            return _COMMANDS[text](self)
        if name in _GREEK:
            return Ratio.of(variable(name + self._index()))
        if name in _OF_ONE:
            return self._function(name)
        raise UnreadableError(f"{text} is not understood")

    def _function(self, name: str) -> Ratio:
        power = Ratio.of(1)
        base: Ratio | None = None
        if name == "log" and self.take("_"):
            base = self._argument(is_whole_number=True)
        if self.take("^"):
            power = self._argument(is_whole_number=True)
            if power.number is None or power.number < 0:
                raise UnreadableError("an inverse function")
        argument = self._base() if self.next.text in ("(", "{", "[") else self._function_argument()
        if name == "exp":
            found = self.arithmetic.power(Ratio.of(E), argument)
        elif name == "ln" and argument.number == 1:
            found = Ratio.of(0)
        elif base is not None:
            found = function("logarithm", argument, base)
        else:
            found = function(name, argument)
        return self.arithmetic.power(found, power)

    def _function_argument(self) -> Ratio:
        """Factors without a sign between them: sin 2x."""
        found = self._factor()
        while self._starts_factor() and self.next.text not in ("(", "|") and self.next.text[1:] not in _FUNCTIONS:
            factor = self._factor()
            found = self.arithmetic.multiply(found, factor)
        if self.next.text == "^":
            raise UnreadableError("degrees in a function")
        return found

    def _fraction(self) -> Ratio:
        return self.arithmetic.divide(self._argument(), self._argument())

    def _root(self) -> Ratio:
        degree = 2
        if self.take("["):
            if not self.next.text.isdigit() or len(self.next.text) > 9 or self.next.text == "0" * len(self.next.text):
                raise UnreadableError("a root of no whole degree")
            degree = int(self.next.text)
            self.at += 1
            if not self.take("]"):
                raise UnreadableError("']' is missing")
        inside = self._argument(is_whole_number=True)
        if degree % 2 and inside.number is not None and inside.number < 0:  # the real root
            return self.arithmetic.multiply(
                Ratio.of(-1), self.arithmetic.power(Ratio.of(-inside.number), Ratio.of(Fraction(1, degree)))
            )
        return self.arithmetic.power(inside, Ratio.of(Fraction(1, degree)))

    def _binomial(self) -> Ratio:
        above, below = self._argument(), self._argument()
        n, k = above.number, below.number
        is_small = n is not None and k is not None and n.denominator == k.denominator == 1 and 0 <= k <= n <= 1_000
        if n is None or k is None or not is_small:
            return function("binomial", above, below)
        return Ratio.of(math.comb(int(n), int(k)))

    def _factorial(self, found: Ratio) -> Ratio:
        number = found.number
        if number is not None and number.denominator == 1 and 0 <= number <= MAX_FACTORIAL:
            return Ratio.of(math.factorial(int(number)))
        return function("factorial", found)

    def _rounded(self, closing: str, rounding: Callable[[Fraction], int]) -> Ratio:
        found = self.expression()
        if not self.take(closing):
            raise UnreadableError(f"{closing} is missing")
        return function(closing[2:], found) if found.number is None else Ratio.of(rounding(found.number))


_COMMANDS: dict[str, Callable[[ExpressionReader], Ratio]] = {
    r"\frac": ExpressionReader._fraction,
    r"\sqrt": ExpressionReader._root,
    r"\binom": ExpressionReader._binomial,
    r"\pi": lambda reader: Ratio.of(PI),
    r"\infty": lambda reader: Ratio.of(INFINITY),
    r"\lfloor": lambda reader: reader._rounded(r"\rfloor", math.floor),
    r"\lceil": lambda reader: reader._rounded(r"\rceil", math.ceil),
}


def read_number(text: str) -> Fraction:
    r"""The exact value of a decimal, repeating digits (``0.1\overline{6}``) and powers of ten included.

    Raises:
        RefusedError: it has more digits than any answer.
    """
    if len(text) > MAX_DIGITS:
        raise RefusedError(f"a number of more than {MAX_DIGITS} digits")
    if "\\" in text:
        whole, repeating = text.split("\\", 1)
        digits = "".join(filter(str.isdigit, repeating))
        places = len(whole.partition(".")[2])
        tail = Fraction(int(digits), (10 ** len(digits) - 1) * 10**places)
        return Fraction(whole.removesuffix(".") or 0) + tail
    mantissa, _, exponent = text.lower().partition("e")
    if not exponent:
        return Fraction(mantissa)
    if abs(int(exponent)) > MAX_DIGITS:
        raise RefusedError("a power of ten larger than any answer")
    return Fraction(mantissa) * Fraction(10) ** int(exponent)
