"""Parts of the real line: intervals, their unions, single points.

What arrives: values that may be such a part. What leaves: `Region` values in one form, so that equal parts have equal
pieces: sorted, and joined where they touch. Bounds are compared exactly; where that cannot be told, nothing is joined.
"""

from __future__ import annotations

from collections.abc import Callable

from rayreward.grading.magnitudes import approximately
from rayreward.grading.sums import INFINITY, Ratio
from rayreward.grading.values import Piece, Region, Row, Scalar, Several, Value

Same = Callable[[Ratio | None, Ratio | None], bool | None]
"""Whether two bounds are equal; None where that cannot be told."""


def as_region(value: Value) -> Region | None:
    """The part of the line that a value may be read as: a pair in brackets as an interval, a set as points."""
    if isinstance(value, Region):
        return value
    if isinstance(value, Row) and len(value.items) == 2:
        low, high = value.items
        if isinstance(low, Scalar) and isinstance(high, Scalar) and value.opening in "([]" and value.closing in ")][":
            bounds = (_bound(low), _bound(high))
            return Region((Piece(bounds[0], value.opening == "[", bounds[1], value.closing == "]"),))
    if isinstance(value, Several) and value.is_set and all(isinstance(one, Scalar) for one in value.values):
        return Region(tuple(_point(one.ratio) for one in value.values if isinstance(one, Scalar)))
    return None


def as_union(value: Value) -> Region | None:
    """A list of intervals as their union: what a question about one part of the line is answered with."""
    if isinstance(value, Several) and not value.is_set and len(value.values) > 1:
        parts = [as_region(one) for one in value.values]
        if all(part is not None for part in parts):
            names = {part.variable for part in parts if part is not None}
            pieces = tuple(piece for part in parts if part is not None for piece in part.pieces)
            return Region(pieces, names.pop()) if len(names) == 1 else None
    return as_region(value)


def both_bounds(first: Value, second: Value) -> Region | None:
    """Two inequalities together, one from below and one from above; None where no number obeys both, or they differ."""
    if not (isinstance(first, Region) and isinstance(second, Region) and first.variable == second.variable):
        return None
    pieces = (*first.pieces, *second.pieces)
    lows = [piece for piece in pieces if piece.high is None and piece.low is not None]
    highs = [piece for piece in pieces if piece.low is None and piece.high is not None]
    if len(pieces) != 2 or len(lows) != 1 or len(highs) != 1:
        return None
    [low], [high] = lows, highs
    if low.low is None or high.high is None:
        return None
    values = approximately(low.low), approximately(high.high)
    if values[0] is None or values[1] is None or values[0] >= values[1]:
        return None
    return Region((Piece(low.low, low.is_low_in, high.high, high.is_high_in),), first.variable)


def _bound(scalar: Scalar) -> Ratio | None:
    return None if INFINITY in scalar.ratio.atoms else scalar.ratio


def _point(ratio: Ratio) -> Piece:
    return Piece(ratio, True, ratio, True)


def same_regions(first: Region, second: Region, same: Same) -> bool | None:
    """Whether two parts of the line are the same; None where that cannot be told."""
    ones, others = _merged(first, same), _merged(second, same)
    if ones is None or others is None:
        return None
    if len(ones) != len(others):
        return False
    verdict: bool | None = True
    for one, other in zip(ones, others, strict=True):
        if _closed(one) != _closed(other):
            return False
        for found in (same(one.low, other.low), same(one.high, other.high)):
            if found is False:
                return False
            verdict = None if found is None else verdict
    return verdict


def _closed(piece: Piece) -> tuple[bool, bool]:
    return piece.is_low_in and piece.low is not None, piece.is_high_in and piece.high is not None


def _merged(region: Region, same: Same) -> list[Piece] | None:
    """Its pieces from left to right, those that touch joined; None where their order cannot be told."""
    if len(region.pieces) < 2:
        return list(region.pieces)
    ordered = []
    for piece in region.pieces:
        low = float("-inf") if piece.low is None else approximately(piece.low)
        high = float("inf") if piece.high is None else approximately(piece.high)
        if low is None or high is None:
            return None
        ordered.append((low, high, piece))
    ordered.sort(key=lambda one: (one[0], not one[2].is_low_in))
    joined = [ordered[0]]
    for low, high, piece in ordered[1:]:
        _, last_high, last = joined[-1]
        touches = bool(same(last.high, piece.low)) and piece.low is not None
        if (touches and (last.is_high_in or piece.is_low_in)) or (low < last_high and not touches):
            is_longer = high > last_high or (high == last_high and piece.is_high_in)
            top, top_in, end = (
                (piece.high, piece.is_high_in, high) if is_longer else (last.high, last.is_high_in, last_high)
            )
            joined[-1] = (joined[-1][0], end, Piece(last.low, last.is_low_in, top, top_in))
        else:
            joined.append((low, high, piece))
    return [piece for _, _, piece in joined]
