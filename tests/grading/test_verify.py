from __future__ import annotations

import subprocess
import sys

import pytest

from rayreward.grading.verify import is_installed, verify

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs the math extra")


@pytest.mark.parametrize(
    ("gold", "given", "verdict"),
    [
        (r"1+\sqrt{2}", r"\sqrt{3+2\sqrt{2}}", True),
        ("1", r"\sin^2 x + \cos^2 x", True),
        (r"\frac{1}{3}", "0.333333", False),
        (r"\frac{1}{2}", r"\sin 30^\circ", True),
        (r"\frac{1}{2}", r"\cos 30^{\circ}", False),
        ("5", "6", False),
        ("5", r"\frac{", None),
    ],
)
def test_math_verify_says(gold: str, given: str, verdict: bool | None) -> None:
    assert verify((gold, given)) is verdict


def test_nothing_of_it_is_imported_before_it_is_asked() -> None:
    script = "import sys, rayreward.rewards; print({'sympy', 'math_verify'} & {*sys.modules})"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
