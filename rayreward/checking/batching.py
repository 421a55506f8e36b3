"""Does a score depend on what else is in the batch?"""

from __future__ import annotations

from collections.abc import Sequence

from rayreward.checking.report import Finding
from rayreward.checking.sameness import describe_difference, differences
from rayreward.checking.subject import Subject
from rayreward.types import RewardOutput

_REMEDY = (
    "batches are made of whatever waits together: score each sample for itself, or compare the samples of a prompt "
    'with @reward_function(mode="group")'
)


async def probe_batching(subject: Subject, first: Sequence[RewardOutput]) -> Finding:
    """Every unit by a call of its own, against the batches of the first pass."""
    alone = await subject.score_each(subject.samples, subject.material.units)
    changed = differences(first, alone)
    if changed:
        found = describe_difference(first, alone, changed, subject.material.names)
        return Finding("batching", "wrong", f"alone instead of in a batch {found}", _REMEDY)
    if subject.compares_groups:
        return Finding(
            "batching", "ok", f"{len(subject.material.units)} groups, one a call and together: the same scores"
        )
    return Finding("batching", "ok", f"{len(alone)} samples alone and in a batch: the same scores")
