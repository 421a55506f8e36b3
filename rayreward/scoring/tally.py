"""What a file of outputs amounts to.

What arrives: one score or failure a sample. What leaves: counts, and the statistics of the valid scores: a failed
sample is counted by its kind and is in no mean.
"""

from __future__ import annotations

import math
from collections import Counter

import msgspec


class Summary(msgspec.Struct, frozen=True):
    """The end of a scoring; `rayreward score --json` prints it.

    Attributes:
        samples: lines in the output file.
        scored: of them, those with a score.
        failed: how many failed, by kind.
        mean, std, min, max: of the valid scores; None where there are none. `std` is the population's.
        versions: of the reward, as stamped on the outputs.
        resumed: lines that were there already.
        duration_s: of this call, start of the reward included.
        samples_per_s: of this call.
        out: the output file.
    """

    samples: int
    scored: int
    failed: dict[str, int]
    mean: float | None
    std: float | None
    min: float | None
    max: float | None
    versions: list[str]
    resumed: int
    duration_s: float
    samples_per_s: float
    out: str


class Tally:
    """Counts outputs as they come, in constant memory."""

    def __init__(self) -> None:
        self.samples = 0
        self.failed: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self._mean = self._squares = 0.0
        self._min, self._max = math.inf, -math.inf

    @property
    def failed_count(self) -> int:
        """Samples without a score."""
        return self.failed.total()

    @property
    def scored(self) -> int:
        """Samples with a score."""
        return self.samples - self.failed_count

    def add(self, score: float | None, failure_kind: str | None, version: str | None) -> None:
        """Count one output."""
        self.samples += 1
        if version is not None:
            self.versions[version] += 1
        if score is None:
            self.failed[failure_kind or "abstained"] += 1
            return
        # Welford's update: summing squares would lose the spread of scores far from zero.
        distance = score - self._mean
        self._mean += distance / self.scored
        self._squares += distance * (score - self._mean)
        self._min, self._max = min(self._min, score), max(self._max, score)

    def summary(self, *, resumed: int, duration_s: float, out: str) -> Summary:
        """All of it, once the scoring has ended."""
        has_scores = self.scored > 0
        return Summary(
            samples=self.samples,
            scored=self.scored,
            failed=dict(self.failed.most_common()),
            mean=self._mean if has_scores else None,
            std=math.sqrt(self._squares / self.scored) if has_scores else None,
            min=self._min if has_scores else None,
            max=self._max if has_scores else None,
            versions=sorted(self.versions),
            resumed=resumed,
            duration_s=duration_s,
            samples_per_s=(self.samples - resumed) / duration_s if duration_s > 0 else 0.0,
            out=out,
        )
