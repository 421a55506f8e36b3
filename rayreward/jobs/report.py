"""What a run did, step by step and in all: the trainer's metrics beside the router's counts.

What arrives: each step as the trainer's log tells it, and what the router has counted for the run by then. What
leaves: a line for people, metrics for W&B, and the summary. It is pure. Failed samples are counted, and in no mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rayreward.jobs.openrlhf.progress import StepMetrics
from rayreward.router.runs import Mean, RunStats

MARK = "[rayreward]"
"""Begins every line of ours in a job's log."""


@dataclass
class RunReport:
    """One run so far.

    Attributes:
        run_id: its id.
        step_count: steps that are planned; None where that is not known.
        rewards: mean reward of each step, as the trainer logged it.
        stats: the router's latest counts; None for a reward that is not served by a router.
    """

    run_id: str
    step_count: int | None = None
    rewards: list[float] = field(default_factory=list)
    last_step: int = 0
    stats: RunStats | None = None

    def add_step(self, step: StepMetrics, stats: RunStats | None) -> StepReport:
        """Take a step in; `stats` are the router's counts after it."""
        earlier, self.stats = self.stats, stats if stats is not None else self.stats
        self.rewards.append(step.reward)
        self.last_step = step.step
        return StepReport(step, self.step_count, earlier or RunStats(self.run_id), stats)

    def summary(self) -> dict[str, Any]:
        """The run in all, for ``run_summary.json``."""
        rewards = [reward for reward in self.rewards if math.isfinite(reward)]
        stats = self.stats
        counted = {} if stats is None else _counts(stats)
        return {
            "run_id": self.run_id,
            "steps": self.last_step,
            "reward_first": rewards[0] if rewards else None,
            "reward_last": rewards[-1] if rewards else None,
            "rewards": rewards,
            **counted,
        }


@dataclass(frozen=True)
class StepReport:
    """One step, and what the router counted during it."""

    step: StepMetrics
    step_count: int | None
    before: RunStats
    after: RunStats | None

    @property
    def failures(self) -> dict[str, int]:
        """Samples of this step without a score, by kind."""
        return {} if self.after is None else _grown(self.before.failure_counts, self.after.failure_counts)

    @property
    def line(self) -> str:
        """For people."""
        step, total = self.step, "" if self.step_count is None else f"/{self.step_count}"
        parts = [
            f"{MARK} step {step.step}{total}",
            f"reward {step.reward:.4f}",
            f"rollout {_seconds(step.generation_s)}",
            f"train {_seconds(step.train_s)}",
        ]
        if self.after is not None:
            scoring_s = self.after.scored_s.since(self.before.scored_s)
            parts += [] if scoring_s is None else [f"scoring {scoring_s:.3f} s a sample"]
            failed = ", ".join(f"{kind} {count}" for kind, count in sorted(self.failures.items()))
            parts.append(f"failed: {failed}" if failed else "failed: none")
        return "  ".join(parts)

    @property
    def metrics(self) -> dict[str, float]:
        """For W&B: the trainer's own under ``train/``, components under ``reward/``, failures by kind."""
        metrics = {f"train/{name}": value for name, value in self.step.values.items() if math.isfinite(value)}
        if self.after is None:
            return metrics
        means = {"reward/score": (self.before.scored, self.after.scored)}
        for name, mean in self.after.components.items():
            means[f"reward/{name}"] = (self.before.components.get(name, Mean()), mean)
        means["reward_seconds/scored"] = (self.before.scored_s, self.after.scored_s)
        means["reward_seconds/queued"] = (self.before.queued_s, self.after.queued_s)
        found = {name: after.since(before) for name, (before, after) in means.items()}
        metrics |= {name: value for name, value in found.items() if value is not None}
        for kind in self.after.failure_counts:
            metrics[f"reward_failures/{kind}"] = float(self.failures.get(kind, 0))
        for name, kinds in self.after.component_failure_counts.items():
            grown = _grown(self.before.component_failure_counts.get(name, {}), kinds)
            metrics |= {f"reward_failures/{name}/{kind}": float(grown.get(kind, 0)) for kind in kinds}
        return metrics


def _counts(stats: RunStats) -> dict[str, Any]:
    return {
        "samples": stats.sample_count,
        "scored": stats.scored.count,
        "score_mean": stats.scored.since(Mean()),
        "failures": dict(stats.failure_counts),
        "component_failures": {name: dict(kinds) for name, kinds in stats.component_failure_counts.items()},
        "filled_in": stats.filled_count,
        "components": {name: mean.since(Mean()) for name, mean in stats.components.items()},
        "scoring_s_mean": stats.scored_s.since(Mean()),
    }


def _grown(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    grown = {kind: count - before.get(kind, 0) for kind, count in after.items()}
    return {kind: count for kind, count in grown.items() if count > 0}


def _seconds(value: float) -> str:
    return "?" if math.isnan(value) else f"{value:.1f} s"
