"""TRL's GRPOTrainer, which tells the log how each step went and how long its halves took.

Imported where a training runs: it needs TRL.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from transformers import TrainerCallback
from trl import GRPOTrainer

from rayreward.jobs.trl.step_lines import step_line


class TimedGRPOTrainer(GRPOTrainer):  # type: ignore[misc]
    """The same, with the seconds that generating and scoring have taken so far in `rollout_s`."""

    rollout_s = 0.0

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        started_s = time.monotonic()
        try:
            return super()._prepare_inputs(generation_batch)
        finally:
            self.rollout_s += time.monotonic() - started_s


class StepReporter(TrainerCallback):  # type: ignore[misc]
    """Writes a line for every step that is logged. Times are of that step alone, means of all since the last line."""

    def __init__(self, trainer: TimedGRPOTrainer, *, sample_count: int) -> None:
        self._trainer, self._sample_count = trainer, sample_count
        self._started_s = self._rollout_started_s = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._started_s, self._rollout_started_s = time.monotonic(), self._trainer.rollout_s

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Tell of a step; TRL's last entry, of the whole training, is none."""
        if not state.is_world_process_zero or not logs or "reward" not in logs:
            return
        line = step_line(
            state.global_step,
            logs,
            sample_count=self._sample_count,
            step_s=time.monotonic() - self._started_s,
            rollout_s=self._trainer.rollout_s - self._rollout_started_s,
        )
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
