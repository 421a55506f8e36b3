"""Where a run's metrics go besides its log: Weights & Biases, or nowhere.

What arrives: metrics by name and step. What leaves: one W&B run, with the trainer's metrics under ``train/``, mean
scores of components under ``reward/<component>``, and failures by kind under ``reward_failures/``. OpenRLHF's own
logger is left out: it wants the key on its command line, and knows nothing of components. The key comes from
WANDB_API_KEY or netrc where this runs; ``wandb_mode: offline`` needs neither key nor network.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from rayreward.errors import ConfigError, MissingExtraError
from rayreward.jobs.render import RenderedJob
from rayreward.jobs.spec import JobSpec


class Tracker(Protocol):
    """Takes metrics."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """The metrics of one step."""

    def close(self, exit_code: int) -> None:
        """The run has ended."""


class NoTracker:
    """Keeps nothing."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing."""

    def close(self, exit_code: int) -> None:
        """Nothing."""


class WandbTracker:
    """One W&B run.

    Args:
        run: what ``wandb.init`` returned.
    """

    def __init__(self, run: Any) -> None:
        self._run, self._is_broken = run, False
        run.define_metric("train/global_step")
        run.define_metric("*", step_metric="train/global_step", step_sync=True)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """The metrics of one step; a logger that breaks says so once, and the training goes on."""
        try:
            self._run.log({**metrics, "train/global_step": step})
        except Exception as error:  # noqa: BLE001 - the boundary: an observer cannot hurt a training
            if not self._is_broken:
                sys.stderr.write(f"W&B takes no metrics from step {step} on: {error}\n")
            self._is_broken = True

    def close(self, exit_code: int) -> None:
        """Upload, or write, what is left."""
        self._run.finish(exit_code=exit_code)


def build_tracker(spec: JobSpec, job: RenderedJob) -> Tracker:
    """What the spec's ``logging`` asks for.

    Raises:
        MissingExtraError: W&B is asked for and not installed here.
        ConfigError: it has no key, or cannot be reached.
    """
    if spec.logging.wandb_project is None:
        return NoTracker()
    try:
        import wandb
    except ImportError as error:
        raise MissingExtraError(
            "logging.wandb_project is set and wandb is not installed where the job runs: pip install 'rayreward[wandb]'"
        ) from error
    Path(spec.output_dir).mkdir(parents=True, exist_ok=True)
    try:
        run = _open(wandb, spec, job)
    except wandb.errors.Error as error:
        raise ConfigError(
            f"{spec.name}: logging.wandb_project: W&B refuses to start ({error}); set WANDB_API_KEY or run wandb login "
            "where the job runs, or set logging.wandb_mode to offline"
        ) from error
    return WandbTracker(run)


def _open(wandb: Any, spec: JobSpec, job: RenderedJob) -> Any:
    logging = spec.logging
    return wandb.init(
        project=logging.wandb_project,
        name=logging.wandb_run_name or spec.name,
        id=job.run_id,
        group=spec.name,
        mode=logging.wandb_mode,
        dir=spec.output_dir,
        config=spec.model_dump(mode="json", exclude={"env_vars"}),
        resume="allow",
        settings=wandb.Settings(console="off"),  # the log is Ray's
    )
