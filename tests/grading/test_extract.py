from __future__ import annotations

import pytest

from rayreward.grading.extract import MAX_ANSWER_CHARS, Form, boxes, extract_answer, extract_last_answer, tidied

EVERY: list[Form] = ["boxed", "hashes", "answer", "last_number"]


@pytest.mark.parametrize(
    ("response", "text", "form"),
    [
        (r"so \boxed{12}.", "12", "boxed"),
        (r"\boxed{12.}", "12", "boxed"),
        (r"\boxed{1}, no, \boxed{\frac{1}{2}}", r"\frac{1}{2}", "boxed"),
        (r"\fbox{7}", "7", "boxed"),
        (r"\boxed 7", "7", "boxed"),
        (r"\boxed {7}", "7", "boxed"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}", "boxed"),
        (r"\boxed{\text{a \} b}}", r"\text{a \} b}", "boxed"),
        (r"\boxed{a} \boxed{b", "a", "boxed"),
        ("#### 7\n\\boxed{8}", "8", "boxed"),
        ("9 * 2 = 18\n#### 18", "18", "hashes"),
        (r"#### $\boxed{3}$", "3", "boxed"),
        ("#### **1,000**", "1,000", "hashes"),
        ("A: 7", "7", "answer"),
        ("So,\n**Answer:** 7 eggs", "7 eggs", "answer"),
        ("So,\n### Final Answer: $\\frac{3}{4}$", "\\frac{3}{4}", "answer"),
        ("The final answer is: $7$. I used 2 steps.", "7", "answer"),
        ("the ANSWER is 3.5 m", "3.5 m", "answer"),
        ("the answer is 13, since 6 + 7 = 13", "13", "answer"),
        ("the answer is C because 12 is even.", "C", "answer"),
        ("So the final answer is 18 eggs!", "18 eggs", "answer"),
        ("### Final Answer\n\n**18 dollars**", "18 dollars", "answer"),
        ("**Answer:**\n\n$18$\n\nThat is all.", "18", "answer"),
        ("Final answer:\n\\[\nx = 13\n\\]", "x = 13", "answer"),
        (r"\boxed{\text{The answer is } 5}", "5", "boxed"),
        ("The answer is 1. No: the answer is 2.", "2", "answer"),
        ("first 3, then -1,234.5 of them", "-1,234.5", "last_number"),
    ],
)
def test_the_first_form_that_is_there_counts(response: str, text: str, form: Form) -> None:
    found = extract_answer(response, EVERY)
    assert found is not None
    assert (found.text, found.form) == (text, form)


@pytest.mark.parametrize(
    "response", ["", "seven", r"\boxed{", "boxed", "####", "#### \n", "the answer is", "A:", r"\boxed"]
)
def test_a_response_may_have_no_answer(response: str) -> None:
    assert extract_answer(response, EVERY) is None


def test_a_form_that_is_not_asked_for_is_not_looked_for() -> None:
    assert extract_answer("It is 7.") is None
    assert extract_answer(r"\boxed{7}", ["hashes"]) is None


def test_the_last_of_all_forms_can_be_asked_for() -> None:
    found = extract_last_answer("\\boxed{1} but\n#### 21")
    assert found is not None
    assert found.text == "21"
    assert extract_last_answer("nothing") is None


def test_spaces_do_not_make_an_answer_long() -> None:
    found = extract_answer("\\boxed{" + " " * 60_000 + "7" + " " * 60_000 + "}")
    assert found is not None
    assert (found.text, found.excess_chars) == ("7", 0)


def test_a_long_answer_is_cut_and_says_how_long_it_is() -> None:
    found = extract_answer("\\boxed{" + "9" * 100_000 + "}")
    assert found is not None
    assert (len(found.text), found.excess_chars) == (MAX_ANSWER_CHARS, 100_000)


@pytest.mark.parametrize(
    "unit",
    ["\\boxed{", "#", "answer ", "answer is", "\n", " ", "A:", "{", "}", "\\", "1,", "$", "\0", "\ud800", "\\fbox"],
)
def test_a_megabyte_of_anything_is_read_in_no_time(unit: str) -> None:
    response = unit * (1_000_000 // len(unit))
    extract_answer(response, EVERY)
    extract_last_answer(response)
    tidied(response)
    assert len(boxes(response)) <= 16
