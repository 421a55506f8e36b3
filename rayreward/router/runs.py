"""What became of each run's samples, counted as they are answered.

What arrives: every sample that is recorded, under its run. What leaves: a `RunStats` a run: how many samples were
scored, why the others were not, the sums that means are made of, and how long its reward has answered nothing. A
failed sample is in no mean. It is pure: the time is handed in, and old runs are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from rayreward.types import FailureKind, RewardOutput

_MAX_RUNS = 1_000
"""Runs remembered. The one that was silent longest goes first: names come from the network."""

_MAX_COMPONENTS = 200
"""Components counted a run; names come from rewards, which may invent one a sample."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A sum and what it is of, so that the mean of any stretch is a difference of two readings."""

    total: float = 0.0
    count: int = 0

    def plus(self, value: float) -> Mean:
        """With one value more."""
        return Mean(self.total + value, self.count + 1)

    def since(self, earlier: Mean) -> float | None:
        """The mean of what came after `earlier`; None where nothing did.

        Example:
            >>> Mean(6.0, 3).since(Mean(2.0, 1))
            2.0
        """
        count = self.count - earlier.count
        return (self.total - earlier.total) / count if count > 0 else None


@dataclass(frozen=True, slots=True)
class RunStats:
    """One run so far.

    Attributes:
        run: its id.
        sample_count: samples answered.
        scored: scores of those that have one.
        filled_count: samples without a score whose trainer was told a number all the same.
        failure_counts: samples without a score, by kind.
        component_failure_counts: components without a score, by name and kind.
        components: raw scores by component.
        scored_s: seconds from leaving the router's queue to the answer.
        queued_s: seconds in the router's queue.
        unavailable_s: for how long the reward has been asked and has answered nothing; 0 while it answers.
    """

    run: str
    sample_count: int = 0
    scored: Mean = Mean()
    filled_count: int = 0
    failure_counts: Mapping[str, int] = field(default_factory=dict)
    component_failure_counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    components: Mapping[str, Mean] = field(default_factory=dict)
    scored_s: Mean = Mean()
    queued_s: Mean = Mean()
    unavailable_s: float = 0.0


@dataclass(slots=True)
class _Run:
    sample_count: int = 0
    scored: Mean = Mean()
    filled_count: int = 0
    failure_counts: dict[str, int] = field(default_factory=dict)
    component_failure_counts: dict[str, dict[str, int]] = field(default_factory=dict)
    components: dict[str, Mean] = field(default_factory=dict)
    scored_s: Mean = Mean()
    queued_s: Mean = Mean()
    unavailable_since_s: float | None = None


class RunTally:
    """Counts by run.

    Example:
        >>> tally = RunTally()
        >>> tally.add("ppo", RewardOutput(1.0), is_filled=False)
        >>> tally.add("ppo", RewardOutput.failed(FailureKind.TIMEOUT, "slow"), is_filled=True)
        >>> stats = tally.stats("ppo", now_s=0.0)
        >>> stats.sample_count, stats.scored.count, dict(stats.failure_counts)
        (2, 1, {'timeout': 1})
    """

    def __init__(self) -> None:
        self._runs: OrderedDict[str, _Run] = OrderedDict()

    def add(self, run: str, output: RewardOutput, *, is_filled: bool) -> None:
        """One sample is answered; `is_filled` where a trainer was told a number in place of its score."""
        known = self._known(run)
        known.sample_count += 1
        if output.failure is not None:
            _count(known.failure_counts, output.failure.kind)
            known.filled_count += is_filled
        elif output.score is not None:
            known.scored = known.scored.plus(output.score)
            known.unavailable_since_s = None
        for name, metric in output.metrics.items():
            if metric.failure is not None:
                _count(known.component_failure_counts.setdefault(name, {}), metric.failure.kind)
            elif metric.score is not None and (name in known.components or len(known.components) < _MAX_COMPONENTS):
                known.components[name] = known.components.get(name, Mean()).plus(metric.score)
        if output.timings is not None:
            known.scored_s = known.scored_s.plus(output.timings.scored_s)
            known.queued_s = known.queued_s.plus(output.timings.queued_s)

    def note_unavailable(self, run: str, *, now_s: float) -> None:
        """The run has asked, and nobody has answered."""
        known = self._known(run)
        if known.unavailable_since_s is None:
            known.unavailable_since_s = now_s

    def stats(self, run: str, *, now_s: float) -> RunStats:
        """The run so far; all zero for one that has asked for nothing."""
        known = self._runs.get(run, _Run())
        since_s = known.unavailable_since_s
        return RunStats(
            run=run,
            sample_count=known.sample_count,
            scored=known.scored,
            filled_count=known.filled_count,
            failure_counts=dict(known.failure_counts),
            component_failure_counts={name: dict(kinds) for name, kinds in known.component_failure_counts.items()},
            components=dict(known.components),
            scored_s=known.scored_s,
            queued_s=known.queued_s,
            unavailable_s=0.0 if since_s is None else now_s - since_s,
        )

    def _known(self, run: str) -> _Run:
        known = self._runs.get(run)
        if known is None:
            known = self._runs[run] = _Run()
            if len(self._runs) > _MAX_RUNS:
                self._runs.popitem(last=False)
        else:
            self._runs.move_to_end(run)
        return known


def _count(counts: dict[str, int], kind: FailureKind) -> None:
    counts[kind.value] = counts.get(kind.value, 0) + 1
