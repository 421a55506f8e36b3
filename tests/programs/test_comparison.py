from __future__ import annotations

from typing import Any

import pytest

from rayreward.programs.comparison import Comparison, outputs_match, values_match


@pytest.mark.parametrize(
    ("printed", "expected", "comparison", "is_match"),
    [
        ("1\n", "1", "lines", True),
        ("1  \n2\t\n\n\n", "1\n2\n", "lines", True),
        ("1\r\n2\r\n", "1\n2", "lines", True),
        ("1\n\n2", "1\n2", "lines", False),
        (" 1", "1", "lines", False),
        ("1\n", "1", "exact", False),
        (" 1  2\n3", "1 2 3", "tokens", True),
        ("12 3", "1 23", "tokens", False),
        ("", "", "lines", True),
        ("", "1", "lines", False),
        ("1.0", "1", "tokens", False),
    ],
)
def test_output_is_compared_as_asked(printed: str, expected: str, comparison: Comparison, is_match: bool) -> None:
    assert outputs_match(printed, expected, comparison=comparison) is is_match


@pytest.mark.parametrize(
    ("printed", "expected", "is_match"),
    [
        ("0.333333", "0.3333333333", True),
        ("1e3 yes", "1000 yes", True),
        ("0.34", "0.33", False),
        ("nan", "1", False),
        ("inf", "1e308", False),
        ("nan", "nan", True),
        ("1 1", "1", False),
        ("9" * 500, "9" * 499 + "8", False),
    ],
)
def test_numbers_may_differ_a_little(printed: str, expected: str, is_match: bool) -> None:
    assert outputs_match(printed, expected, float_tolerance=1e-5) is is_match


@pytest.mark.parametrize(
    ("returned", "expected", "tolerance", "is_match"),
    [
        ((1, 2), [1, 2], None, True),
        ([[1, (2,)]], [[1, [2]]], None, True),
        ({"a": (1,)}, {"a": [1]}, None, True),
        ({"a": 1, "b": 2}, {"a": 1}, None, False),
        ([1], 1, None, False),
        (None, None, None, True),
        (0.30000000000000004, 0.3, None, False),
        (0.30000000000000004, 0.3, 1e-9, True),
        ([0.30000000000000004], [0.3], 1e-9, True),
        (10**400, 10**400 + 1, 1e-9, False),
        (float("nan"), 1.0, 1e-9, False),
        (True, 2, 10.0, False),
        ("1", 1, None, False),
    ],
)
def test_values_are_compared_as_json_would_hold_them(
    returned: Any, expected: Any, tolerance: float | None, is_match: bool
) -> None:
    assert values_match(returned, expected, float_tolerance=tolerance) is is_match


def test_what_json_cannot_hold_is_compared_as_it_would_hold_it() -> None:
    assert values_match({1: [(2,)]}, {"1": [[2]]})
    assert not values_match({1: 2}, {"1": 3})
    assert values_match([float("nan")], [float("nan")])
    assert not values_match(float("nan"), 1.0, float_tolerance=0.1)
