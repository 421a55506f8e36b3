from __future__ import annotations

import math

from rayreward.jobs.openrlhf.progress import parse_step
from rayreward.jobs.trl.step_lines import step_line


def test_whoever_follows_openrlhfs_log_can_follow_this_one() -> None:
    logs = {
        "reward": 0.5,
        "reward_std": 0.25,
        "completions/mean_length": 12.5,
        "completions/clipped_ratio": 0.125,
        "reward/math/format": 1.0,
        "reward_failures/math": 2.0,
        "grad_norm": 1e-7,
        "kl": None,
        "entropy": math.nan,
    }
    step = parse_step(step_line(3, logs, sample_count=64, step_s=3.5, rollout_s=2.0))

    assert step is not None
    assert (step.step, step.reward, step.reward_std, step.sample_count) == (3, 0.5, 0.25, 64)
    assert (step.response_length, step.truncated_rate) == (12.5, 0.125)
    assert (step.step_s, step.generation_s, step.train_s) == (3.5, 2.0, 1.5)
    assert step.values["reward/math/format"] == 1.0
    assert step.values["grad_norm"] == 1e-7
    assert not {"kl", "entropy"} & step.values.keys()
