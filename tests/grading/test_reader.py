from __future__ import annotations

import sys
from fractions import Fraction

import pytest

from rayreward.grading.reader import read_answer
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
    Words,
)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12), ("-0.50", Fraction(-1, 2)), (".5", Fraction(1, 2)), (r"\frac65", Fraction(6, 5)),
        (r"\frac{1}2", Fraction(1, 2)), ("1{,}234", 1234), (r"1\,234", 1234), ("1 234 567", 1234567),
        (r"1\frac{1}{2}", Fraction(3, 2)), ("1 1/2", Fraction(3, 2)), ("2^10", 1024), ("1.5e3", 1500),
        (r"1.5 \times 10^{-2}", Fraction(3, 200)), (r"0.1\overline{6}", Fraction(1, 6)), ("5!", 120),
        (r"\binom{5}{2}", 10), (r"\sqrt[3]{-8}", -2), (r"|-3|", 3), (r"\left\lfloor 2.5 \right\rfloor", 2),
        ("3 million", 3_000_000), ("-2^2", -4), ("½", Fraction(1, 2)), ("x = 5", None),
    ],
)  # fmt: skip
def test_numbers_are_exact(text: str, number: Fraction | int | None) -> None:
    value = read_answer(text)
    assert (value.ratio.number if isinstance(value, Scalar) else None) == number


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("52_8", Based), ("no solution", Words), ("(1, 2)", Row), ("1, 2", Several), (r"\{1, 2\}", Several),
        (r"\pm 3", Several), ("x < 2", Region), (r"(0,1) \cup (2,3)", Region), (r"\mathbb{R}", Region),
        (r"\begin{pmatrix} 1 & 2 \end{pmatrix}", Matrix), ("x = 5", Named), ("f(x) = 2x", Named), ("xy = 5", Equation),
        ("x + y = 5", Equation), ("12 = 13", Refused), ("1 2", Refused), ("1/0", Refused), (r"\int x dx", Unread),
        (r"\frac{1}{", Unread), ("", Words), ("(1, 2", Unread), ("]", Unread),
    ],
)  # fmt: skip
def test_an_answer_has_its_kind(text: str, kind: type) -> None:
    assert isinstance(read_answer(text), kind)


def test_a_unit_is_read_with_its_number() -> None:
    value = read_answer(r"15\mbox{ cm}^2")
    assert isinstance(value, Scalar)
    assert (value.ratio.number, value.unit.name) == (15, "cm^2")
    product = read_answer("5m")
    assert isinstance(product, Scalar)
    assert product.ratio.variables == {"m"}


@pytest.mark.parametrize(
    "text",
    [
        "(" * 900, "{" * 900, r"\sqrt" * 200, r"\frac" * 200, r"\left(" * 140, "-" * 999, "2^{" * 300, "|" * 999,
        r"\cos" * 250, r"\begin{" * 140, r"\text{" * 160, "[" * 999, r"\{" * 499, "((1," * 240, "=" * 999, "," * 999,
        "\\" * 999, "^" * 999, "_" * 999, "\0" * 999, "\ud800" * 999, r"\cup" * 249, "!" * 999, "9" * 999, "²" * 999,
        r"\begin{pmatrix}" * 60, "1&" * 499, "(1,2)" * 190, "x" * 999, "x_" * 499, r"\pm" * 333, "%" * 999, "<" * 999,
        "1e999999", "9^{9^{9^{9}}}", "(x+y+z+w+1)^{40}", "(1+x)^{64}(1+y)^{64}(1+z)^{64}",
        "+".join(rf"\sqrt{{{n}}}" for n in range(90)), "+".join(f"x_{{{n}}}y" for n in range(110)),
        "".join(rf"(1+\sqrt{{{n}}})" for n in range(2, 60)), "".join(f"(x+{n}y)" for n in range(100)),
    ],
    ids=lambda text: text[:12].encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_a_hostile_answer_is_a_value_like_others(text: str) -> None:
    before = sys.getrecursionlimit()
    assert read_answer(text) is not None
    assert sys.getrecursionlimit() == before
