"""From comparisons of two to a score for each.

What arrives: how many candidates there are, and what comparisons of pairs have said. What leaves: which pairs to
compare, and a number for each candidate that does not depend on the order in which they came. It is pure: who compares
is not its business.

Probabilities in [0, 1] are `win_chances`' business: a language model's verdicts. Margins without bounds are
`mean_margins`': a reward model's logits.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_DRAWS = 0.05
"""Draws that each pair is taken to have had beside what was seen. Without them one who wins all has no finite strength;
more of them pull all towards the middle."""

_FARTHEST = 300.0
"""Of a strength from the middle, where the fit begins: its exponential is still a number."""

_MAX_ROUNDS = 500
_CLOSE_ENOUGH = 1e-7
"""Where improving ends: of a change in a win chance, or in a margin's own unit."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is known of two candidates, both orders together.

    Attributes:
        first: a candidate's position.
        second: the other's.
        win_chance: in [0, 1], that the first is better; 0.5 for a draw.
        margin: by how much it is better, where that is known: a logit without bounds.
    """

    first: int
    second: int
    win_chance: float
    margin: float = 0.0


def pairs_to_compare(count: int, opponents: int) -> list[tuple[int, int]]:
    """Who meets whom: everyone each other where that is at most `opponents` each; else neighbours on a ring.

    On the ring of positions each meets those at `opponents` / 2 distances to either side: all have as many comparisons,
    and nobody's luck decides for all, as an anchor's would. Both orders of each pair make ``count * opponents``
    requests at most.

    Args:
        count: of candidates.
        opponents: of each one at most; even, 2 or more.

    Example:
        >>> pairs_to_compare(3, 8)
        [(0, 1), (0, 2), (1, 2)]
        >>> len(pairs_to_compare(32, 8))
        128
    """
    if count - 1 <= opponents:
        return [(first, second) for first in range(count) for second in range(first + 1, count)]
    meetings = [(at, (at + far) % count) for far in _distances(count, opponents // 2) for at in range(count)]
    return sorted((min(pair), max(pair)) for pair in meetings)


def _distances(count: int, wanted: int) -> list[int]:
    """So many distances on the ring, 1 among them and the others spread, none of them half of it (met twice)."""
    farthest = (count - 1) // 2
    if wanted == 1:
        return [1]
    return [1 + round(step * (farthest - 1) / (wanted - 1)) for step in range(wanted)]


def win_chances(copies: Sequence[int], comparisons: Sequence[Comparison]) -> list[float | None]:
    """How likely each candidate is to be preferred to a sibling drawn at random; None where that cannot be said.

    Where everyone met everyone it is the plain mean. Else it is what a Bradley-Terry model (strengths whose ratio is
    the chance, `_DRAWS` draws a pair against infinite ones) expects; in a full round robin both say the same, so the
    scale is one. Those that no chain of comparisons connects with the most of the others are not comparable.

    Args:
        copies: how many samples have each candidate's text; a candidate and its twin draw.
        comparisons: at most one a pair.

    Example:
        >>> win_chances([1, 1, 1], [Comparison(0, 1, 1.0), Comparison(0, 2, 1.0), Comparison(1, 2, 0.5)])
        [1.0, 0.25, 0.25]
    """
    count = len(copies)
    if sum(copies) < 2:
        return [None] * count
    known = _connected(count, comparisons)
    chances = {(seen.first, seen.second): seen.win_chance for seen in comparisons}
    if len(chances) < count * (count - 1) // 2:
        strengths = bradley_terry(count, comparisons)
        chances = {
            (one, other): 0.5 * (1.0 + math.tanh((strengths[one] - strengths[other]) / 2))
            for one in known
            for other in known
            if one < other
        }
    won, faced = [0.5 * (number - 1) for number in copies], [number - 1 for number in copies]
    for (one, other), chance in chances.items():
        won[one] += copies[other] * chance
        won[other] += copies[one] * (1.0 - chance)
        faced[one] += copies[other]
        faced[other] += copies[one]
    return [won[at] / faced[at] if at in known else None for at in range(count)]


def bradley_terry(count: int, comparisons: Iterable[Comparison]) -> list[float]:
    """The candidates' strengths as logarithms with mean 0: ``1 / (1 + exp(b - a))`` is how likely a beats b.

    Fitted by Hunter's minorisation (Annals of Statistics 32, 2004) to chances as to shares of a game, with `_DRAWS`
    draws in each pair that was compared. It begins at the strengths whose differences fit the pairs' log odds best:
    from equal ones it needs thousands of rounds on a long ring.

    Example:
        >>> [round(strength, 3) for strength in bradley_terry(2, [Comparison(0, 1, 0.5)])]
        [0.0, 0.0]
    """
    games = [(seen.first, seen.second, seen.win_chance) for seen in comparisons]
    wins = [0.0] * count
    met_at: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    for first, second, chance in games:
        wins[first] += chance + _DRAWS / 2
        wins[second] += 1.0 - chance + _DRAWS / 2
        odds = math.log((chance + _DRAWS / 2) / (1.0 - chance + _DRAWS / 2))
        met_at[first].append((second, odds))
        met_at[second].append((first, -odds))
    worth = [math.exp(max(-_FARTHEST, min(_FARTHEST, level))) for level in _fitted_levels(met_at)]
    for _ in range(_MAX_ROUNDS):
        met = [0.0] * count
        for first, second, _chance in games:
            share = (1.0 + _DRAWS) / (worth[first] + worth[second])
            met[first] += share
            met[second] += share
        better = [won / faced if faced else 1.0 for won, faced in zip(wins, met, strict=True)]
        middle = math.exp(sum(map(math.log, better)) / count)
        better = [value / middle for value in better]
        moved = max(abs(math.log(new / old)) for new, old in zip(better, worth, strict=True))
        worth = better
        if moved < _CLOSE_ENOUGH:
            break
    return [math.log(value) for value in worth]


def mean_margins(copies: Sequence[int], comparisons: Sequence[Comparison]) -> list[float | None]:
    """By how much each candidate is better than its group's mean; None where that cannot be said.

    In a full round robin it is the mean margin to all of the group, itself included; else the least-squares fit of
    differences to the margins that were seen, which says the same there.

    Example:
        >>> mean_margins([1, 1], [Comparison(0, 1, 0.9, margin=2.0)])
        [1.0, -1.0]
    """
    count = len(copies)
    if sum(copies) < 2:
        return [None] * count
    met: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    for seen in comparisons:
        met[seen.first].append((seen.second, seen.margin))
        met[seen.second].append((seen.first, -seen.margin))
    if all(len(opponents) == count - 1 for opponents in met):
        return [sum(copies[at] * margin for at, margin in opponents) / sum(copies) for opponents in met]
    levels = _fitted_levels(met)
    known = _connected(count, comparisons)
    if not known:
        return [None] * count
    middle = sum(copies[at] * levels[at] for at in known) / sum(copies[at] for at in known)
    return [levels[at] - middle if at in known else None for at in range(count)]


def _fitted_levels(met: Sequence[Sequence[tuple[int, float]]]) -> list[float]:
    """Levels whose differences fit the margins best, with mean 0 among those that comparisons connect.

    By conjugate gradients, which end after as many rounds as there are candidates: to move each to where its opponents
    put it needs thousands on a long ring.
    """
    levels = [0.0] * len(met)
    rest = [math.fsum(margin for _, margin in opponents) for opponents in met]
    direction, size = rest, math.fsum(value * value for value in rest)
    for _ in range(2 * len(met)):
        pull = [
            len(opponents) * own - math.fsum(direction[other] for other, _ in opponents)
            for own, opponents in zip(direction, met, strict=True)
        ]
        steepness = math.fsum(one * other for one, other in zip(direction, pull, strict=True))
        if size < _CLOSE_ENOUGH**2 or steepness <= 0:
            break
        step = size / steepness
        levels = [level + step * value for level, value in zip(levels, direction, strict=True)]
        rest = [value - step * pulled for value, pulled in zip(rest, pull, strict=True)]
        before, size = size, math.fsum(value * value for value in rest)
        direction = [value + size / before * last for value, last in zip(rest, direction, strict=True)]
    return levels


def _connected(count: int, comparisons: Iterable[Comparison]) -> set[int]:
    """The largest set of candidates among whom a chain of comparisons leads from each to each; empty without one."""
    part_of = {at: {at} for at in range(count)}
    for seen in comparisons:
        one, other = part_of[seen.first], part_of[seen.second]
        if one is not other:
            one |= other
            part_of.update(dict.fromkeys(other, one))
    largest = max(part_of.values(), key=len)
    return largest if len(largest) > 1 or count == 1 else set()
