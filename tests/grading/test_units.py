from __future__ import annotations

import pytest

from rayreward.grading.tokens import tokenise
from rayreward.grading.units import SHORT_UNITS, read_unit


@pytest.mark.parametrize(
    ("text", "name", "is_known"),
    [
        ("", "", False), (r"\text{ cm}", "cm", True), ("centimeters", "cm", True),
        (r"\text{ square feet}", "ft^2", True),
        (r"\text{cm}^{2}", "cm^2", True), ("cubic inches", "in^3", True), ("miles per hour", "mi*/h", True),
        (r"\text{m}/\text{s}", "m*/s", True), ("eggs", "eggs", False), ("apples each", "apples*each", False),
    ],
)  # fmt: skip
def test_a_unit_has_one_name(text: str, name: str, is_known: bool) -> None:
    unit = read_unit(tokenise(text, SHORT_UNITS))
    assert unit is not None
    assert (unit.name, unit.is_known) == (name, is_known)


@pytest.mark.parametrize(
    "text", ["or so", "more than", "not", "+ 5", r"\frac", "7", "^5", "a b c d e f g h i j k l m n"]
)
def test_other_words_are_none(text: str) -> None:
    assert read_unit(tokenise(text)) is None


def test_a_dozen_is_a_factor() -> None:
    unit = read_unit(tokenise("dozen eggs"))
    assert unit is not None
    assert (unit.factor, unit.name) == (12, "eggs")
