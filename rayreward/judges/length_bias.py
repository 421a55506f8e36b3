"""Whether a judge pays for length: the running correlation of scores with the lengths of responses.

What arrives: pairs. What leaves: Pearson's r, or None before it says anything. A judge that prefers longer answers has
one well above 0 on responses of equal quality, and a policy will find that out before anybody reads its answers.
"""

from __future__ import annotations

import math

MIN_PAIRS = 30
"""Below it r is noise: of unrelated pairs, 30 have |r| above 0.36 once in twenty times, 10 above 0.63."""


class LengthBias:
    """Counts pairs by Welford's method: no sums of squares, so that a million pairs lose no digits.

    Example:
        >>> bias = LengthBias()
        >>> for length in range(40):
        ...     bias.add(length, 0.5 + length / 100)
        >>> round(bias.correlation, 6), bias.count
        (1.0, 40)
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean_length = self._mean_score = 0.0
        self._lengths = self._scores = self._both = 0.0

    def add(self, length: float, score: float) -> None:
        """Count one scored response."""
        self.count += 1
        by_length, by_score = length - self._mean_length, score - self._mean_score
        self._mean_length += by_length / self.count
        self._mean_score += by_score / self.count
        self._lengths += by_length * (length - self._mean_length)
        self._scores += by_score * (score - self._mean_score)
        self._both += by_length * (score - self._mean_score)

    @property
    def correlation(self) -> float | None:
        """From -1 to 1; None with fewer than `MIN_PAIRS` pairs, or where all lengths or all scores are equal."""
        if self.count < MIN_PAIRS or self._lengths <= 0 or self._scores <= 0:
            return None
        return max(-1.0, min(1.0, self._both / math.sqrt(self._lengths * self._scores)))
