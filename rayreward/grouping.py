"""Which samples belong together, for rewards that compare the samples of a prompt.

What arrives: samples of one batch. What leaves: their positions, group by group; and the failures of a group of which
only a part has come. It is pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput


def positions_of_groups(samples: Sequence[Sample]) -> list[list[int]]:
    """Which samples belong together: those of one group, else those of one prompt.

    Example:
        >>> positions_of_groups([Sample(response="a", group_id="g"), Sample(response="b"), Sample(response="c")])
        [[0], [1, 2]]
    """
    groups: dict[tuple[bool, str], list[int]] = {}
    for position, sample in enumerate(samples):
        key = (True, sample.group_id) if sample.group_id is not None else (False, sample.prompt)
        groups.setdefault(key, []).append(position)
    return list(groups.values())


def missing_members(members: Sequence[Sample]) -> list[RewardOutput]:
    """The failures of a group that is not whole; empty for one that is."""
    wanted = max((sample.group_size or 0 for sample in members), default=0)
    if len(members) >= wanted:
        return []
    text = (
        f"a group reward compares all samples of a prompt: group {members[0].group_id!r} has {wanted}, and "
        f"{len(members)} came together; send them in one request, or set group: true where the job is described"
    )
    return [RewardOutput.failed(FailureKind.INVALID_INPUT, text)] * len(members)
