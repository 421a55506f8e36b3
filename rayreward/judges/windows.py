"""Lists that are too long for one question: how they are cut, and how the scores of their parts are made one scale.

What arrives: how many candidates there are, and the scores that each part was given. What leaves: parts that have two
candidates in common, the anchors; and one score for each candidate, with every part moved so that its anchors score
what they do on average. It is pure.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence

_ANCHORS = 2
"""Candidates that all parts show. One would do; of two a single odd score moves a part half as far."""


def cut_into_windows(count: int, window: int) -> list[list[int]]:
    """Positions, in parts of at most `window`, as even as can be; the first ones are in all of them.

    Example:
        >>> cut_into_windows(8, 5)
        [[0, 1, 2, 3, 4], [0, 1, 5, 6, 7]]
    """
    if count <= window:
        return [list(range(count))]
    rest = list(range(_ANCHORS, count))
    parts = -(-len(rest) // (window - _ANCHORS))
    edges = [len(rest) * part // parts for part in range(parts + 1)]
    anchors = list(range(_ANCHORS))
    return [anchors + rest[start:end] for start, end in itertools.pairwise(edges)]


def one_scale(windows: Sequence[Mapping[int, float]], anchors: Collection[int]) -> dict[int, float]:
    """The scores of all parts as one, in [0, 1]; of a part in which no anchor has a score nothing can be said.

    Example:
        >>> one_scale([{0: 0.5, 1: 0.25, 2: 0.75}, {0: 0.75, 1: 0.5, 3: 0.5}], {0, 1})
        {2: 0.875, 3: 0.375, 0: 0.625, 1: 0.375}
    """
    given = {anchor: [scores[anchor] for scores in windows if anchor in scores] for anchor in anchors}
    means = {anchor: sum(scores) / len(scores) for anchor, scores in given.items() if scores}
    merged: dict[int, float] = {}
    for scores in windows:
        seen = [anchor for anchor in means if anchor in scores]
        if seen:
            shift = sum(means[anchor] - scores[anchor] for anchor in seen) / len(seen)
            merged |= {at: min(1.0, max(0.0, score + shift)) for at, score in scores.items() if at not in means}
    return merged | means
