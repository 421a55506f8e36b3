"""How far a training is, read from its log.

What arrives: log lines of OpenRLHF 0.11.2, as `RayJobs.follow` yields them. What leaves: one `StepMetrics` for each
line that reports a step, None for all others. It is pure.

The log is the best source there is: after each step ``ppo_trainer.py`` logs the whole metrics dictionary in full
precision ("✨ Global step 3: {…}"), the same that goes to W&B and TensorBoard, which write files on the trainer's node,
later. The bars of tqdm round to three digits and redraw themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

STEP_LINE = re.compile(r"Global step (?P<step>\d+): \{(?P<metrics>.*)\}")
METRIC = re.compile(r"'(?P<name>[^']+)': (?P<value>-?(?:\d+(?:\.\d*)?(?:e[+-]?\d+)?|inf|nan))")


@dataclass(frozen=True)
class StepMetrics:
    """What one step did.

    Attributes:
        step: 1 for the first.
        reward: mean over the step's samples, as they were scored: before clipping, baseline and KL.
        reward_std: their standard deviation.
        response_length: mean, in tokens.
        truncated_rate: share of responses that were cut off at their longest.
        sample_count: samples that the step learnt from.
        step_s: seconds in all; generating and scoring, learning and weight sync are parts of it.
        generation_s: seconds of generating and scoring.
        train_s: seconds of learning.
        values: every metric of the step by OpenRLHF's own name, a reward's ``extra_logs`` among them.
    """

    step: int
    reward: float
    reward_std: float
    response_length: float
    truncated_rate: float
    sample_count: int
    step_s: float
    generation_s: float
    train_s: float
    values: Mapping[str, float]

    def __reduce__(self) -> tuple[type[StepMetrics], tuple[object, ...]]:
        """A read-only view cannot be pickled; its content can."""
        fields = [getattr(self, name) for name in self.__dataclass_fields__]
        return type(self), (*fields[:-1], dict(self.values))


def parse_step(line: str) -> StepMetrics | None:
    """The step that a log line reports; None where it reports none.

    Example:
        >>> parse_step("INFO 11-21 00:59:57 ppo_trainer.py:551] ✨ Global step 1: {'rollout/reward_mean': 0.25}").reward
        0.25
    """
    match = STEP_LINE.search(line)
    if match is None:
        return None
    values = {found["name"]: float(found["value"]) for found in METRIC.finditer(match["metrics"])}

    def value(*names: str) -> float:
        return next((values[name] for name in names if name in values), math.nan)

    count = value("rollout/num_samples")
    return StepMetrics(
        step=int(match["step"]),
        reward=value("rollout/reward_mean", "reward"),
        reward_std=value("rollout/reward_std"),
        response_length=value("rollout/response_length_mean", "response_length"),
        truncated_rate=value("rollout/truncated_rate", "truncated"),
        sample_count=0 if math.isnan(count) else int(count),
        step_s=value("timing/step_total"),
        generation_s=value("timing/generation"),
        train_s=value("timing/ppo_train"),
        values=MappingProxyType(values),
    )
