"""Whether two passes over the same samples gave the same.

What arrives: two lists of outputs. What leaves: where they differ, and that in words. A failure is the same as another
of its kind, whatever its message.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rayreward.checking.subject import NOT_TRIED
from rayreward.types import RewardOutput

TOLERANCE = 1e-6
"""Relative above 1 and absolute below: floating-point sums in another order differ by less, rewards that matter by
more. bf16 models differ by more than this too, and then it is worth knowing."""


def differences(
    first: Sequence[RewardOutput], second: Sequence[RewardOutput], tolerance: float = TOLERANCE
) -> list[int]:
    """The positions at which they differ."""
    pairs = enumerate(zip(first, second, strict=True))
    return [position for position, (one, other) in pairs if not is_same(one, other, tolerance)]


def is_same(one: RewardOutput, other: RewardOutput, tolerance: float = TOLERANCE) -> bool:
    """Whether both are the same score, or failures of one kind; what was not tried is no evidence."""
    if one is NOT_TRIED or other is NOT_TRIED:
        return True
    if one.score is None or other.score is None:
        return one.failure is not None and other.failure is not None and one.failure.kind == other.failure.kind
    return math.isclose(one.score, other.score, rel_tol=tolerance, abs_tol=tolerance)


def describe_difference(
    first: Sequence[RewardOutput], second: Sequence[RewardOutput], changed: Sequence[int], names: Sequence[str]
) -> str:
    """How many changed, and the worst of them."""
    worst = max(changed, key=lambda position: _distance(first[position], second[position]))
    return (
        f"{len(changed)} of {len(first)} scores changed; {names[worst]}: "
        f"{said(first[worst])}, then {said(second[worst])}"
    )


def said(output: RewardOutput) -> str:
    """A score, or a failure's kind."""
    if output.score is not None:
        return f"{output.score:.4g}"
    return "no score" if output.failure is None else f"no score ({output.failure.kind})"


def _distance(one: RewardOutput, other: RewardOutput) -> float:
    return math.inf if one.score is None or other.score is None else abs(one.score - other.score)
