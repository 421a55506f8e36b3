"""Does the same sample score the same, in the same process and in another one?"""

from __future__ import annotations

from collections.abc import Sequence

from rayreward.checking.report import Finding
from rayreward.checking.sameness import describe_difference, differences
from rayreward.types import RewardOutput

_REMEDY = (
    "look for random numbers, the time, counters, the order of a set, hash(), temperature: trainers compare scores "
    "within a group, and learn this noise"
)


def judge_determinism(
    first: Sequence[RewardOutput],
    again: Sequence[RewardOutput],
    elsewhere: Sequence[RewardOutput] | None,
    names: Sequence[str],
) -> Finding:
    """Whether three passes gave the same; `elsewhere` is another process's, None where it gave none."""
    changed = differences(first, again)
    if changed:
        return Finding("determinism", "wrong", describe_difference(first, again, changed, names), _REMEDY)
    if elsewhere is not None and (changed := differences(first, elsewhere)):
        found = describe_difference(first, elsewhere, changed, names)
        return Finding("determinism", "wrong", f"in another process {found}", _REMEDY)
    where = "twice in one process" + (", once in another" if elsewhere is not None else "")
    return Finding("determinism", "ok", f"{len(first)} samples {where}: the same scores")
