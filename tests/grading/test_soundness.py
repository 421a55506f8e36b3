"""Random expressions: what is made equal is never called different, and what is made different never equal."""

from __future__ import annotations

import random

import pytest

from rayreward.grading.exact import compare

LEAVES = ("x", "y", r"\pi", "7", r"\sqrt{12}", r"\frac{3}{4}", r"\sqrt{x}", "e^{y}")


def expression(draw: random.Random, depth: int) -> str:
    if not depth:
        return draw.choice(LEAVES)
    one, other = expression(draw, depth - 1), expression(draw, draw.randrange(depth))
    return draw.choice((f"({one}+{other})", f"({one}-{other})", rf"{one} \cdot {other}", rf"\frac{{{one}}}{{{other}}}"))


@pytest.mark.parametrize("seed", range(40))
def test_rewritten_expressions_are_equal_and_changed_ones_are_not(seed: int) -> None:
    draw = random.Random(seed)
    gold = expression(draw, draw.randint(1, 3))
    more = expression(draw, 1)
    if compare(more, "0").is_equal is not False:
        more = "3"  # adding and dividing by nothing proves nothing
    for same in (rf"\frac{{({gold}) \cdot ({more})}}{{{more}}}", f"({more}) + ({gold}) - ({more})"):
        assert compare(gold, same).is_equal is not False, same
    for other in (f"({gold}) + ({more})", rf"({gold}) + 10^{{-12}}"):
        assert compare(gold, other).is_equal is not True, other
