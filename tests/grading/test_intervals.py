from __future__ import annotations

import pytest

from rayreward.grading.exact import compare


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"[1,2] \cup [2,3]", "[1,3]"),
        (r"[1,2) \cup [2,3]", "[1,3]"),
        (r"(0,5) \cup (1,2)", "(0,5)"),
        (r"(-\infty,0) \cup (0,\infty)", r"(0,\infty) \cup (-\infty,0)"),
        (r"(0,1) \cup \{1\}", "(0,1]"),
        (r"[\sqrt{2}, \pi)", r"\sqrt2 \le x < \pi"),
        ("x > 3", r"(3, +\infty)"),
        (r"3 < x", r"x \in (3,\infty)"),
    ],
)
def test_the_same_part_of_the_line_is_equal(one: str, other: str) -> None:
    assert compare(one, other).is_equal is True


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (r"[1,2) \cup (2,3]", "[1,3]"),
        ("(0,1)", "[0,1)"),
        ("x > 3", "y > 3"),
        ("x > 3", "3"),
        (r"(-\infty,3)", r"(-\infty,4)"),
        (r"(0,1) \cup (2,3)", "(0,1)"),
        (r"(0,1) \cup (2,3)", r"\emptyset"),
    ],
)
def test_another_part_is_not(one: str, other: str) -> None:
    assert compare(one, other).is_equal is False


def test_a_union_whose_order_is_unclear_is_left_open() -> None:
    assert compare(r"(0,a) \cup (1,b)", r"(1,b) \cup (0,a+1)").is_equal is None
