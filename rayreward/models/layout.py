"""Units laid end to end in one row, shared prompts once.

What arrives: units. What leaves: the ids and positions of one packed row, its segments — who attends to whom — and
where each unit's tokens lie in it. Pure Python, no torch.
It promises: a token's position is its place in its own unit; a segment sees itself and, before it, at most one prefix;
units are never seen by one another. Siblings are found by content (equal ``ids[:prefix_tokens]``), so that a wrong
group id cannot mix two prompts.
It does not share a prefix that is itself the beginning of a longer one: each is a prefix of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rayreward.models.inputs import ModelInput

MIN_SHARED_TOKENS = 16
"""Prefixes that are shorter are computed with each unit: a segment more costs about as much as they do."""


class Segment(NamedTuple):
    """Rows ``start:stop`` attend to themselves and to the rows ``prefix_start:prefix_stop`` (none: both are 0)."""

    start: int
    stop: int
    prefix_start: int = 0
    prefix_stop: int = 0

    @property
    def tokens(self) -> int:
        """Rows of its own."""
        return self.stop - self.start

    @property
    def prefix_tokens(self) -> int:
        """Rows that it sees before them."""
        return self.prefix_stop - self.prefix_start


class Place(NamedTuple):
    """Where a unit lies: its first `prefix_tokens` tokens from `prefix_start` on, the rest from `rest_start` on."""

    prefix_start: int
    prefix_tokens: int
    rest_start: int


@dataclass(frozen=True, slots=True)
class Layout:
    """One packed row.

    Attributes:
        ids: token ids of the whole row.
        positions: of each of them: its place in its own unit.
        segments: every row lies in exactly one; in the order of the row.
        places: one a unit, in order.
        computed_tokens: one a unit, in order: its own, and an even part of the prefix that it shares. They sum to
            ``len(ids)``.
    """

    ids: list[int]
    positions: list[int]
    segments: list[Segment]
    places: list[Place]
    computed_tokens: list[int]

    def row(self, unit: int, position: int) -> int:
        """The row of a unit's token."""
        prefix_start, prefix_tokens, rest_start = self.places[unit]
        if position < prefix_tokens:
            return prefix_start + position
        return rest_start + position - prefix_tokens


def prefix_of(unit: ModelInput) -> tuple[int, ...] | None:
    """What its siblings may share of a unit; None where that is not worth it.

    Example:
        >>> prefix_of(ModelInput(ids=(1, 2, 3), prefix_tokens=2)) is None
        True
        >>> len(prefix_of(ModelInput(ids=(7,) * 40, prefix_tokens=30)))
        30
    """
    return unit.ids[: unit.prefix_tokens] if unit.prefix_tokens >= MIN_SHARED_TOKENS else None


def shared_prefixes(units: Sequence[ModelInput]) -> list[tuple[int, ...] | None]:
    """Of each unit: the prefix that at least one other unit shares, or None."""
    prefixes = [prefix_of(unit) for unit in units]
    counts = Counter(prefixes)
    return [prefix if counts[prefix] > 1 else None for prefix in prefixes]


def build_layout(units: Sequence[ModelInput], *, shares_prefixes: bool = True) -> Layout:
    """Lay units end to end; a prefix that several share stands before the first of them.

    Example:
        >>> prompt = tuple(range(20))
        >>> layout = build_layout([ModelInput((*prompt, 90), 20), ModelInput((*prompt, 91, 92), 20)])
        >>> len(layout.ids), layout.positions[-2:], layout.segments[-1]
        (23, [20, 21], Segment(start=21, stop=23, prefix_start=0, prefix_stop=20))
    """
    prefixes = shared_prefixes(units) if shares_prefixes else [None] * len(units)
    layout = Layout([], [], [], [], [])
    starts: dict[tuple[int, ...], int] = {}
    for unit, prefix in zip(units, prefixes, strict=True):
        if prefix is None:
            layout.places.append(Place(0, 0, _append(layout, unit.ids, position=0)))
            continue
        if prefix not in starts:
            starts[prefix] = _append(layout, prefix, position=0)
        start, size = starts[prefix], len(prefix)
        layout.places.append(Place(start, size, _append(layout, unit.ids[size:], position=size, prefix_start=start)))
    layout.computed_tokens.extend(_shares(units, prefixes))
    return layout


def _append(layout: Layout, ids: Sequence[int], *, position: int, prefix_start: int = 0) -> int:
    """Add a segment (none for no ids), and answer where it starts."""
    start = len(layout.ids)
    if ids:
        layout.ids.extend(ids)
        layout.positions.extend(range(position, position + len(ids)))
        prefix_stop = prefix_start + position if position else 0
        layout.segments.append(Segment(start, len(layout.ids), prefix_start if position else 0, prefix_stop))
    return start


def _shares(units: Sequence[ModelInput], prefixes: Sequence[tuple[int, ...] | None]) -> list[int]:
    """What each unit is charged with: the first of the siblings bear what does not divide evenly."""
    siblings, seen = Counter(prefixes), Counter[tuple[int, ...]]()
    charged = []
    for unit, prefix in zip(units, prefixes, strict=True):
        if prefix is None:
            charged.append(len(unit.ids))
            continue
        even, rest = divmod(len(prefix), siblings[prefix])
        charged.append(len(unit.ids) - len(prefix) + even + (seen[prefix] < rest))
        seen[prefix] += 1
    return charged
