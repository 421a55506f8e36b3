from __future__ import annotations

import pytest

from rayreward.grading.choices import chosen_letter, letter_and_value


@pytest.mark.parametrize(
    "text", ["C", "(C)", "c", r"\text{C}", r"\text{(C)}", r"\textbf{(C)}", "C.", "C)", "Option C", r"\mathrm{C}", "[C]"]
)
def test_a_letter_is_a_choice(text: str) -> None:
    assert chosen_letter(text) == "C"


@pytest.mark.parametrize("text", ["", "CD", "2C", "C or D", "(C)(D)", "K", "C" * 500, "C = 5", "x"])
def test_other_texts_are_none(text: str) -> None:
    assert chosen_letter(text) is None


def test_a_choice_may_come_with_its_value() -> None:
    assert letter_and_value(r"\textbf{(C)}\ 12") == ("C", "12")
    assert letter_and_value(r"C. \frac{1}{2}") == ("C", r"\frac{1}{2}")
    assert letter_and_value("(C) 12 (D) 13") is None
    assert letter_and_value("(C) not that") is None
