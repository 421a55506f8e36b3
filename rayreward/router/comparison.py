"""What a candidate's unseen scores say beside those that were answered.

What arrives: the candidate's output of a sample, and the score that was answered. What leaves: a `ShadowComparison`:
how many could be compared, how far they lie apart, and why the candidate had no score for the others. A failure is in
no mean.

Pure. A candidate that becomes another version is compared from the start again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from rayreward.types import RewardOutput


@dataclass(frozen=True, slots=True)
class ShadowComparison:
    """One candidate beside the live version so far.

    Attributes:
        version: of the candidate; None while nothing was scored.
        compared_count: samples that both have a score for.
        mean_absolute_difference: of those; None where there are none.
        equal_share: of those, to the last digit, from 0 to 1; None where there are none.
        failure_counts: samples that the live version scored and the candidate did not, by kind.
        dropped_count: samples that were not scored a second time, because too many were under way.
    """

    version: str | None = None
    compared_count: int = 0
    mean_absolute_difference: float | None = None
    equal_share: float | None = None
    failure_counts: Mapping[str, int] = field(default_factory=dict)
    dropped_count: int = 0


@dataclass(slots=True)
class _Counts:
    compared: int = 0
    equal: int = 0
    difference: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    dropped: int = 0


class Comparing:
    """Counts pairs.

    Example:
        >>> comparing = Comparing()
        >>> comparing.add(1.0, RewardOutput(0.5, version="v2"))
        >>> comparing.add(1.0, RewardOutput(1.0, version="v2"))
        >>> found = comparing.comparison
        >>> found.version, found.compared_count, found.mean_absolute_difference, found.equal_share
        ('v2', 2, 0.25, 0.5)
    """

    def __init__(self) -> None:
        self._version: str | None = None
        self._counts = _Counts()

    def add(self, answered: float, output: RewardOutput) -> None:
        """The candidate's output of a sample that was answered with a score."""
        if output.version is not None and output.version != self._version:
            if self._version is not None:
                self._counts = _Counts()
            self._version = output.version
        counts = self._counts
        if output.failure is not None:
            counts.failures[output.failure.kind.value] += 1
        elif output.score is not None:
            counts.compared += 1
            counts.equal += output.score == answered
            counts.difference += abs(output.score - answered)

    def drop(self, count: int) -> None:
        """So many samples were not scored a second time."""
        self._counts.dropped += count

    @property
    def comparison(self) -> ShadowComparison:
        """As it is now."""
        counts = self._counts
        return ShadowComparison(
            version=self._version,
            compared_count=counts.compared,
            mean_absolute_difference=counts.difference / counts.compared if counts.compared else None,
            equal_share=counts.equal / counts.compared if counts.compared else None,
            failure_counts=dict(counts.failures),
            dropped_count=counts.dropped,
        )
