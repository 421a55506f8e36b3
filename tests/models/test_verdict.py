from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from rayreward.models.golden import ProbeUnit
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.verdict import Verdict, compare, spearman


def scores(std: float = 1.0, count: int = 32) -> list[float]:
    dice = random.Random(1)
    return [dice.gauss(0.0, std) for _ in range(count)]


def judged(mine: list[float], plain: list[float], dtype: str = "float32") -> Verdict:
    unit = ProbeUnit("a text", ModelInput((1, 2)))
    return compare([unit] * len(plain), [Reading(x, x) for x in mine], [Reading(x, x) for x in plain], dtype=dtype)


def missed(verdict: Verdict) -> set[str]:
    return {gate.name for gate in verdict.gates if not gate.is_met}


@pytest.mark.parametrize(
    ("dtype", "off", "is_met"),
    [
        ("float32", 0.5e-4, True), ("float32", 2e-4, False),
        ("bfloat16", 0.02, True), ("bfloat16", 0.04, False), ("float16", 0.04, False),
    ],
)  # fmt: skip
def test_each_dtype_has_its_own_closeness(dtype: str, off: float, is_met: bool) -> None:
    plain = scores()
    verdict = judged([x + off * (-1) ** at for at, x in enumerate(plain)], plain, dtype)
    assert verdict.is_met is is_met


def test_one_number_far_off_is_too_much_for_bf16_though_the_mean_is_small() -> None:
    plain = scores()
    verdict = judged([plain[0] + 0.5, *plain[1:]], plain, "bfloat16")
    assert missed(verdict) == {"raw: largest difference", "score: largest difference"}
    assert verdict.worst == verdict.rows[0]


def test_fp32_scales_with_large_scores_and_not_with_small_ones() -> None:
    large, small = scores(100.0), scores(0.001)
    assert judged([x + 5e-3 for x in large], large).is_met
    assert not judged([x + 2e-2 for x in large], large).is_met
    # Within 1e-4, but another order: the ranks tell.
    assert not judged(small[::-1], small).is_met


def test_an_order_that_is_lost_is_told_though_the_numbers_are_near() -> None:
    plain = [at * 1e-5 for at in range(32)]
    verdict = judged([plain[at ^ 8] for at in range(32)], plain)
    assert missed(verdict) == {"rank correlation", "pairs in the same order"}


def test_scores_that_are_all_the_same_must_be_met_exactly_in_bf16() -> None:
    assert judged([1.0] * 8, [1.0] * 8, "bfloat16").is_met
    assert not judged([1.0] * 7 + [1.01], [1.0] * 8, "bfloat16").is_met


def test_a_unit_that_fails_is_never_within_the_gates() -> None:
    unit = ProbeUnit("sibling", ModelInput((1, 2, 3)))
    fine = Reading(1.0, 1.0)
    verdict = compare([unit] * 2, [fine, ValueError("no device")], [fine, fine], dtype="float32")
    assert not verdict.is_met
    assert "1 of 2 units failed" in str(verdict)
    assert "sibling, 3 tokens: the backend failed: ValueError: no device" in str(verdict)
    assert not compare([unit], [fine], [ValueError("plain")], dtype="float32").is_met
    assert not compare([], [], [], dtype="float32").is_met


def test_nan_is_never_within_a_gate() -> None:
    plain = scores()
    assert not judged([math.nan, *plain[1:]], plain).is_met
    assert not judged([*plain[:-1], math.nan], plain, "bfloat16").is_met


def test_heads_steps_and_the_normalised_score_are_compared_too() -> None:
    unit = ProbeUnit("a text", ModelInput((1, 2)))
    plain = [Reading(x, x / 2, {"help": x}, (x, x)) for x in scores()]
    assert compare([unit] * 32, plain, plain, dtype="float32").is_met
    for changed, gate in (
        (replace(plain[3], score=9.0), "score: largest difference"),
        (replace(plain[3], heads={"help": 9.0}), "head help: largest difference"),
        (replace(plain[3], steps=(plain[3].raw, 9.0)), "steps: largest difference"),
    ):
        verdict = compare([unit] * 32, [*plain[:3], changed, *plain[4:]], plain, dtype="float32")
        assert missed(verdict) == {gate}
    fewer = compare([unit], [replace(plain[0], steps=(1.0,))], [plain[0]], dtype="float32")
    assert "1 heads and 1 steps, the plain forward 1 and 2" in str(fewer)


def test_ranks_of_ties_are_shared() -> None:
    assert spearman([1.0, 1.0, 2.0], [5.0, 5.0, 7.0]) == pytest.approx(1.0)
    assert spearman([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]) == pytest.approx(-1.0)
    assert spearman([1.0, 1.0], [1.0, 1.0]) == 1.0
    assert spearman([1.0, 1.0], [1.0, 2.0]) == 0.0
