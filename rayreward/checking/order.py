"""Does a score depend on the order in which samples come?"""

from __future__ import annotations

import random
from collections.abc import Sequence

from rayreward.checking.report import Finding
from rayreward.checking.sameness import describe_difference, differences
from rayreward.checking.subject import Subject
from rayreward.types import RewardOutput

_REMEDY = "a call must not change what the next one sees: look for globals, caches by position, running means"


async def probe_order(subject: Subject, first: Sequence[RewardOutput]) -> Finding:
    """The same samples in another order: units shuffled, and the members of a group turned round."""
    units = [tuple(reversed(unit)) for unit in subject.material.units]
    random.Random(1).shuffle(units)
    shuffled = await subject.score(subject.samples, units)
    changed = differences(first, shuffled)
    if changed:
        found = describe_difference(first, shuffled, changed, subject.material.names)
        return Finding("order", "wrong", f"in another order {found}", _REMEDY)
    what = "groups, and their members," if subject.compares_groups else "samples"
    return Finding("order", "ok", f"{len(units)} {what} in another order: the same scores")
