"""What a check says of a response."""

from __future__ import annotations

from typing import Literal, NamedTuple

Relation = Literal["at least", "less than"]
"""The two comparisons of the benchmark."""


class Finding(NamedTuple):
    """Whether an instruction is followed, and what was found."""

    is_followed: bool
    reason: str


def compare(count: int, relation: Relation, wanted: int, what: str) -> Finding:
    """Whether `count` stands in `relation` to `wanted`.

    Example:
        >>> compare(3, "less than", 3, "words")
        Finding(is_followed=False, reason='3 words; wanted less than 3')
    """
    is_followed = count >= wanted if relation == "at least" else count < wanted
    return Finding(is_followed, f"{count} {what}; wanted {relation} {wanted}")
