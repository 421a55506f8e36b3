"""Which units share a forward pass: the plan, decided purely.

What arrives: what each unit costs, and the most tokens that one step may carry. What leaves: steps, each a list of
units. It promises: every unit is in exactly one step; siblings stand together, and are parted only where one step
cannot hold them; no step is over the budget, but for a unit that is over it alone. It never waits for more units.
"""

from __future__ import annotations

import bisect
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple


class UnitCost(NamedTuple):
    """What a unit costs: its own tokens, and once a step the prefix that it may share (None: with nobody)."""

    own_tokens: int
    prefix_tokens: int = 0
    prefix: Hashable = None


class _Piece(NamedTuple):
    """Units that travel together."""

    tokens: int
    units: list[int]


def plan_steps(costs: Sequence[UnitCost], budget_tokens: int) -> list[list[int]]:
    """Steps of at most `budget_tokens`: positions in `costs`, ascending within a step; the biggest step first.

    Best fit, decreasing: a piece goes where it leaves the least room. The biggest goes first because the allocator's
    blocks then fit all that follow, and because a device that is too small shows it at once.

    Example:
        >>> plan_steps([UnitCost(60), UnitCost(30), UnitCost(50), UnitCost(40)], 100)
        [[0, 3], [1, 2]]
        >>> siblings = [UnitCost(10, 50, "prompt")] * 3
        >>> plan_steps([*siblings, UnitCost(20)], 100)  # 50 + 3 · 10 + 20
        [[0, 1, 2, 3]]
    """
    families: dict[Hashable, list[int]] = {}
    for at, cost in enumerate(costs):
        families.setdefault(("alone", at) if cost.prefix is None else ("prefix", cost.prefix), []).append(at)
    pieces = [piece for units in families.values() for piece in _pieces(units, costs, budget_tokens)]
    steps = _best_fit(pieces, budget_tokens)
    return [sorted(step.units) for step in sorted(steps, key=lambda step: -step.tokens)]


def tokens_of(costs: Iterable[UnitCost]) -> int:
    """What a step of these units carries.

    Example:
        >>> tokens_of([UnitCost(10, 50, "prompt"), UnitCost(20, 50, "prompt")])
        80
    """
    prefixes: dict[Hashable, int] = {}
    total = 0
    for cost in costs:
        total += cost.own_tokens
        if cost.prefix is None:
            total += cost.prefix_tokens
        else:
            prefixes[cost.prefix] = cost.prefix_tokens
    return total + sum(prefixes.values())


def _pieces(units: Sequence[int], costs: Sequence[UnitCost], budget_tokens: int) -> list[_Piece]:
    """Siblings in as few pieces as the budget allows; each piece pays for the prefix anew."""
    prefix_tokens = costs[units[0]].prefix_tokens
    own = [_Piece(costs[at].own_tokens, [at]) for at in units]
    parts = _best_fit(own, budget_tokens - prefix_tokens)
    return [_Piece(part.tokens + prefix_tokens, part.units) for part in parts]


def _best_fit(pieces: Sequence[_Piece], room_tokens: int) -> list[_Piece]:
    """Pieces merged into as few as best fit finds; what is over `room_tokens` by itself stays by itself."""
    bins: list[_Piece] = []
    open_bins: list[tuple[int, int]] = []  # (room left, bin), ascending
    for tokens, units in sorted(pieces, key=lambda piece: -piece.tokens):
        found = bisect.bisect_left(open_bins, (tokens, -1))
        if found < len(open_bins):
            room, at = open_bins.pop(found)
            bins[at] = _Piece(bins[at].tokens + tokens, bins[at].units + units)
        else:
            room, at = room_tokens, len(bins)
            bins.append(_Piece(tokens, units))
        if room - tokens >= 0:
            bisect.insort(open_bins, (room - tokens, at))
    return bins
