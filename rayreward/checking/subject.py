"""The reward under test, as the probes see it.

What arrives: a way to score one call's samples, and the samples. What leaves: outputs, one a sample, in order. What it
promises: a reward that hangs or dies again and again does not hold up the check; after a few of these the rest is not
tried, and says so. It knows nothing of processes: those are `rayreward.checking.check`'s.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from rayreward.checking.material import Material
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput

BATCH_UNITS = 64
"""Units a call: what `rayreward score` sends, too."""

PATIENCE = 3
"""Hangs and crashes of one pass after which it ends: each costs a whole deadline, and the finding is made."""

FATAL = frozenset({FailureKind.TIMEOUT, FailureKind.CRASHED})

Call = Callable[[Sequence[Sample]], Awaitable[list[RewardOutput]]]


@dataclass(frozen=True)
class Subject:
    """A reward and its samples.

    Attributes:
        call: scores the samples of one call.
        material: what it is checked with.
        compares_groups: whether a unit is a group.
        scores_batches: whether one call of the author's code takes several samples.
    """

    call: Call
    material: Material
    compares_groups: bool = False
    scores_batches: bool = False

    @property
    def samples(self) -> tuple[Sample, ...]:
        """In the data's order."""
        return self.material.samples

    async def score(self, samples: Sequence[Sample], units: Sequence[Sequence[int]]) -> list[RewardOutput]:
        """All of them in batches, first small ones: a reward that always hangs is found by the first."""
        return await self._score(samples, _batches(units))

    async def score_each(self, samples: Sequence[Sample], units: Sequence[Sequence[int]]) -> list[RewardOutput]:
        """All of them, every unit by a call of its own."""
        return await self._score(samples, iter([unit] for unit in units))

    async def _score(self, samples: Sequence[Sample], batches: Iterator[Sequence[Sequence[int]]]) -> list[RewardOutput]:
        outputs: dict[int, RewardOutput] = {}
        fatal_count = 0
        for batch in batches:
            positions = [position for unit in batch for position in unit]
            if fatal_count >= PATIENCE:
                outputs |= dict.fromkeys(positions, NOT_TRIED)
                continue
            scored = await self.call([samples[position] for position in positions])
            outputs |= dict(zip(positions, scored, strict=True))
            fatal_count += sum(is_fatal(output) for output in scored)
        return [outputs[position] for position in sorted(outputs)]


NOT_TRIED = RewardOutput.failed(FailureKind.CANCELLED, f"not tried, after {PATIENCE} hangs or crashes")


def is_fatal(output: RewardOutput) -> bool:
    """Whether the process hung or died."""
    return output.failure is not None and output.failure.kind in FATAL


def _batches(units: Sequence[Sequence[int]]) -> Iterator[Sequence[Sequence[int]]]:
    rest, size = iter(units), 1
    while batch := list(itertools.islice(rest, size)):
        yield batch
        size = min(size * 4, BATCH_UNITS)
