from __future__ import annotations

import math

import pytest

from rayreward.grading.magnitudes import approximately, is_surely_not_zero
from rayreward.grading.reader import read_answer
from rayreward.grading.sums import Arithmetic, Ratio
from rayreward.grading.values import Scalar


def ratio(text: str) -> Ratio:
    value = read_answer(text)
    assert isinstance(value, Scalar)
    return value.ratio


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r"\frac{\pi}{2}", math.pi / 2),
        (r"\sqrt{2} - \sqrt{3}", math.sqrt(2) - math.sqrt(3)),
        (r"e^{2\pi}", math.exp(2 * math.pi)),
        (r"\sin 1", math.sin(1)),
        (r"\ln 2", math.log(2)),
        (r"\log_2 3", math.log2(3)),
    ],
)
def test_a_constant_has_its_value(text: str, value: float) -> None:
    found = approximately(ratio(text))
    assert found is not None
    assert math.isclose(found, value, rel_tol=1e-12)


@pytest.mark.parametrize("text", ["x", r"\log 2", r"\infty", "i", r"\sin \pi", r"9^{9^{9^9}}", r"\arcsin 2"])
def test_others_have_none(text: str) -> None:
    assert approximately(ratio(text)) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("9^{9^{9^9}}", "5"),
        ("(10^9)!", "7"),
        (r"\binom{10^9}{5 \cdot 10^8}", "7"),
        (r"\sin 1", r"\cos 1"),
        (r"\sqrt{1+x}", r"\sqrt{1-x}"),
        ("2^x", "3^x"),
        (r"\sqrt{2}^{\sqrt{2}}", "1.6"),
    ],
)
def test_answers_of_another_size_differ(one: str, other: str) -> None:
    assert is_surely_not_zero(Arithmetic().difference(ratio(one), ratio(other)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"\sqrt{3+2\sqrt{2}}", r"1+\sqrt{2}"),
        (r"\sin \pi", "0"),
        (r"\ln(e^x)", "x"),
        ("9^{9^{9^9}}", "8^{9^{9^9}}"),
        (r"(1+10^{-20})^{10^{20}}", "e"),
        (r"\tan(\pi/2)", "1"),
    ],
)
def test_rounding_is_never_taken_for_a_difference(one: str, other: str) -> None:
    assert not is_surely_not_zero(Arithmetic().difference(ratio(one), ratio(other)))
