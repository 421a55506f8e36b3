"""Trains by TRL as a spec says: ``python -m rayreward.jobs.trl.train SPEC --run-id ID [--reward-url URL]``.

What arrives: a spec (YAML or JSON) and where its reward is. What leaves: the model in the output folder, checkpoints
beside it, and a line on stdout after every logged step. Exit codes: 0 trained, 2 a spec that cannot be followed, 75 a
reward that has answered nothing for too long: train again when it is back, with ``checkpoint.resume``.

With several GPUs torch starts one such process each (`render`); the first of them logs and saves.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from rayreward.client.address import RewardAddress
from rayreward.client.run import RunClient
from rayreward.errors import ConfigError, MissingExtraError, ServiceUnavailableError, did_you_mean
from rayreward.jobs.trl.arguments import grpo_arguments
from rayreward.jobs.trl.prompts import load_prompts
from rayreward.jobs.trl.spec import TrlSpec
from rayreward.strict import read_yaml
from rayreward.trainers.trl import TrlReward

CANNOT_BE_FOLLOWED = 2
REWARD_LOST = 75
"""EX_TEMPFAIL of sysexits.h: the same run can succeed later. The job that follows the training ends with it too."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m rayreward.jobs.trl.train", description="Train by TRL's GRPO.")
    parser.add_argument("spec", help="the spec, as YAML or JSON")
    parser.add_argument("--run-id", required=True, help="names the run in every request for a reward")
    parser.add_argument("--reward-url", help="a reward's own URL, for reward.transport http without reward.url")
    options = parser.parse_args(arguments)
    try:
        spec = TrlSpec.parse(read_yaml(options.spec), source=options.spec).resolved(Path.cwd())
        train(spec, run_id=options.run_id, reward_url=options.reward_url)
    except ConfigError as error:
        return _end(error, CANNOT_BE_FOLLOWED)
    except ServiceUnavailableError as error:
        return _end(error, REWARD_LOST)
    return 0


def _end(error: Exception, code: int) -> int:
    sys.stderr.write(f"error: {error}\n")
    return code


def train(spec: TrlSpec, *, run_id: str, reward_url: str | None = None) -> None:
    """Run the training to its end and save the model.

    Raises:
        ConfigError: a path, a column or an extra argument that does not exist, or no address for the reward.
        ServiceUnavailableError: the reward cannot be reached, or has answered nothing for too long.
    """
    prompts = load_prompts(spec.data)
    with contextlib.closing(connect_reward(spec, run_id=run_id, reward_url=reward_url)) as asked:
        reward = TrlReward(asked, name=spec.reward.name, clip_range=spec.reward.clip_range)
        trainer = build_trainer(spec, reward, prompts)
        trainer.train(resume_from_checkpoint=last_checkpoint(spec))
        trainer.save_model(spec.output_dir)


def connect_reward(spec: TrlSpec, *, run_id: str, reward_url: str | None) -> RunClient:
    """Who scores this training.

    Raises:
        ConfigError: it goes over HTTP and nobody says where to.
        ServiceUnavailableError: no Ray cluster, or no such application in it.
    """
    reward = spec.reward
    endpoint = next(iter(reward.urls), None) or reward_url
    if spec.transport == "http" and endpoint is None:
        raise ConfigError(f"{spec.name}: the reward has no address yet: give --reward-url, or set reward.url")
    if spec.transport == "handle":
        _join_cluster()
    is_named = endpoint is None  # a URL names its reward itself
    return RewardAddress(
        reward=reward.name if is_named else None,
        endpoint=None if is_named else _without_query(str(endpoint)),
        app=reward.app if is_named else None,
        run=run_id,
        wait_s=reward.wait_s,
        max_unavailable_s=reward.max_unavailable_s,
    ).connect()


def _join_cluster() -> None:
    import ray

    if ray.is_initialized():
        return
    try:
        ray.init(address="auto", log_to_driver=False)
    except ConnectionError as error:
        raise ServiceUnavailableError(
            f"reward.transport handle goes through Ray, and no cluster is here ({error}); use transport http, or submit"
        ) from error


def _without_query(url: str) -> str:
    """OpenRLHF's URLs carry the run, which every request of ours names itself."""
    return urlunsplit(urlsplit(url)._replace(query=""))


def build_trainer(spec: TrlSpec, reward: TrlReward, prompts: Any) -> Any:
    """The trainer, ready to train.

    Raises:
        MissingExtraError: TRL is not installed.
        ConfigError: an extra argument that this TRL does not know, or values that it refuses.
    """
    try:
        from transformers import PrinterCallback
        from trl import GRPOConfig

        from rayreward.jobs.trl.trainer import StepReporter, TimedGRPOTrainer
    except ImportError as error:
        raise MissingExtraError(f"training by TRL needs it ({error.name}): pip install 'rayreward[trl]'") from error
    _announce_loggers(spec)
    for name in spec.extra_args:
        if name not in GRPOConfig.__dataclass_fields__:
            known = did_you_mean(name, sorted(GRPOConfig.__dataclass_fields__))
            raise ConfigError(f"{spec.name}: extra_args: this TRL's GRPOConfig has no field {name!r}; {known}")
    try:
        config = GRPOConfig(**grpo_arguments(spec))
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{spec.name}: TRL refuses this configuration: {error}") from error
    trainer = TimedGRPOTrainer(
        model=spec.model.path, reward_funcs=reward, args=config, train_dataset=prompts, peft_config=_lora(spec)
    )
    trainer.remove_callback(PrinterCallback)  # our line of a step holds all that it prints
    trainer.add_callback(StepReporter(trainer, sample_count=spec.rollout.samples_per_step))
    return trainer


def _announce_loggers(spec: TrlSpec) -> None:
    if spec.logging.tensorboard_dir is not None:
        os.environ["TENSORBOARD_LOGGING_DIR"] = spec.logging.tensorboard_dir


def _lora(spec: TrlSpec) -> Any:
    rank = spec.model.lora_rank
    if not rank:
        return None
    from peft import LoraConfig

    return LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")


def last_checkpoint(spec: TrlSpec) -> str | None:
    """Where to go on from; None where there is nothing yet, or where the spec begins anew."""
    folder = Path(spec.output_dir)
    if not spec.checkpoint.resume or not folder.is_dir():
        return None
    # Ranked by number: checkpoint-100 comes after checkpoint-20. One whose writing was cut off has no state yet.
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").exists()]
    return str(max(found, key=lambda path: int(path.name.rpartition("-")[2]))) if found else None


if __name__ == "__main__":
    sys.exit(main())
