"""What a TRL training tells the log after each step, in the words that OpenRLHF's trainings use.

What arrives: TRL's metrics of a step. What leaves: one line, ``Global step 3: {…}``, which
`rayreward.jobs.openrlhf.progress.parse_step` reads: the common names first, TRL's own after them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

COMMON_NAMES: Mapping[str, str] = {
    "rollout/reward_mean": "reward",
    "rollout/reward_std": "reward_std",
    "rollout/response_length_mean": "completions/mean_length",
    "rollout/truncated_rate": "completions/clipped_ratio",
}
"""Which of TRL's metrics is meant by which common name."""


def step_line(step: int, logs: Mapping[str, Any], *, sample_count: int, step_s: float, rollout_s: float) -> str:
    """The line of one step.

    Args:
        step: 1 for the first.
        logs: what TRL logs; what is no number is left out.
        sample_count: samples that the step learnt from.
        step_s: seconds in all.
        rollout_s: those of them that generated and scored.

    Example:
        >>> step_line(1, {"reward": 0.25, "kl": None}, sample_count=8, step_s=3.0, rollout_s=2.0)
        "Global step 1: {'rollout/num_samples': 8.0, 'timing/step_total': 3.0, 'timing/generation': 2.0, \
'timing/ppo_train': 1.0, 'rollout/reward_mean': 0.25, 'reward': 0.25}"
    """
    values = {
        "rollout/num_samples": float(sample_count),
        "timing/step_total": step_s,
        "timing/generation": rollout_s,
        "timing/ppo_train": step_s - rollout_s,
    }
    values |= {name: _number(logs.get(own)) for name, own in COMMON_NAMES.items()}
    values |= {name: _number(value) for name, value in logs.items()}
    return f"Global step {step}: { {name: value for name, value in values.items() if not math.isnan(value)} }"


def _number(value: Any) -> float:
    """NaN for what is none: TRL logs None where a step has nothing to average."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
