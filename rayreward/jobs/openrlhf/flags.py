"""From a spec to the command-line flags of whichever OpenRLHF will run it.

What arrives: an `OpenRLHFSpec`, where its samples are scored, and a version. What leaves: a list of words. What it
promises: one spec means the same on each supported version. Every option that hangs or fails at its default, or whose
default is not the same in all versions, is set explicitly; what a version lacks is refused by its key, unless it was
left at what that version does anyway. A raw flag of ``extra_args`` that a spec key already sets is refused.

A spec is planned once, in the newest version's names, and told by `dialect` in the words of the version. It is pure:
whether the OpenRLHF on the cluster knows each word is `parser`'s question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import reduce
from typing import Any

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.dialect import FlagValue, Planned, tell, tell_extra_args
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec, RoleResources
from rayreward.jobs.openrlhf.versions import NEWEST, supported_version

FLAG_OF_KEY: dict[str, str] = {
    "model.path": "--actor.model_name_or_path",
    "model.dtype": "--ds.param_dtype",
    "model.attn_implementation": "--ds.attn_implementation",
    "model.gradient_checkpointing": "--actor.gradient_checkpointing_enable",
    "model.lora_rank": "--ds.lora.rank",
    "data.prompts": "--data.prompt_dataset",
    "data.split": "--data.prompt_split",
    "data.input_key": "--data.input_key",
    "data.label_key": "--data.label_key",
    "data.apply_chat_template": "--data.apply_chat_template",
    "data.input_template": "--data.input_template",
    "data.max_samples": "--data.max_samples",
    "data.max_len": "--data.max_len",
    "rollout.batch_size": "--rollout.batch_size",
    "rollout.n_samples_per_prompt": "--rollout.n_samples_per_prompt",
    "rollout.micro_batch_size": "--rollout.micro_batch_size",
    "rollout.max_new_tokens": "--rollout.max_new_tokens",
    "rollout.temperature": "--rollout.temperature",
    "rollout.top_p": "--rollout.top_p",
    "algorithm.estimator": "--algo.advantage.estimator",
    "algorithm.kl_coef": "--algo.kl.init_coef",
    "algorithm.kl_estimator": "--algo.kl.estimator",
    "algorithm.kl_as_loss": "--algo.kl.use_loss",
    "algorithm.gamma": "--algo.advantage.gamma",
    "algorithm.gae_lambda": "--algo.advantage.lambd",
    "algorithm.clip_range": "--actor.eps_clip",
    "algorithm.entropy_coef": "--actor.entropy_coef",
    "algorithm.dynamic_filtering": "--algo.dynamic_filtering_enable",
    "algorithm.dynamic_filtering_range": "--algo.dynamic_filtering_range",
    "optimizer.learning_rate": "--actor.adam.lr",
    "optimizer.scheduler": "--actor.lr_scheduler",
    "optimizer.warmup_ratio": "--actor.lr_warmup_ratio",
    "optimizer.min_lr_ratio": "--actor.min_lr_ratio",
    "optimizer.weight_decay": "--actor.adam.weight_decay",
    "optimizer.betas": "--actor.adam.betas",
    "optimizer.max_grad_norm": "--actor.max_norm",
    "train_batch_size": "--train.batch_size",
    "train.micro_batch_size": "--train.micro_batch_size",
    "train.epochs": "--train.max_epochs",
    "train.episodes": "--train.num_episodes",
    "train.seed": "--train.seed",
    "train.async_rollout": "--train.async_enable",
    "train.async_queue_size": "--train.async_queue_size",
    "train.zero_stage": "--ds.zero_stage",
    "train.adam_offload": "--ds.adam_offload",
    "train.packing_samples": "--ds.packing_samples",
    "train.sleep": "--ds.enable_sleep",
    "resources.vllm.engines": "--vllm.num_engines",
    "resources.vllm.tensor_parallel": "--vllm.tensor_parallel_size",
    "resources.vllm.gpu_memory_utilization": "--vllm.gpu_memory_utilization",
    "resources.vllm.enforce_eager": "--vllm.enforce_eager",
    "resources.vllm.prefix_caching": "--vllm.enable_prefix_caching",
    "resources.vllm.sync_backend": "--vllm.sync_backend",
    "resources.vllm.sleep": "--vllm.enable_sleep",
    "reward.clip_range": "--reward.clip_range",
    "logging.every_steps": "--logger.logging_steps",
    "logging.tensorboard_dir": "--logger.tensorboard_dir",
    "output_dir": "--ckpt.output_dir",
    "checkpoint.save_steps": "--ckpt.save_steps",
    "checkpoint.save_hf": "--ckpt.save_hf",
    "checkpoint.keep": "--ckpt.max_num",
    "checkpoint.resume": "--ckpt.load_enable",
}
"""The flag of each spec key that is rendered as it stands, in the newest version's words."""

CRITIC_FLAG_OF_KEY: dict[str, str] = {
    "model.critic_path": "--critic.model_name_or_path",
    "optimizer.critic_learning_rate": "--critic.adam.lr",
    "optimizer.scheduler": "--critic.lr_scheduler",
    "optimizer.warmup_ratio": "--critic.lr_warmup_ratio",
    "optimizer.min_lr_ratio": "--critic.min_lr_ratio",
    "optimizer.weight_decay": "--critic.adam.weight_decay",
    "optimizer.betas": "--critic.adam.betas",
    "optimizer.max_grad_norm": "--critic.max_norm",
}
"""Rendered besides `FLAG_OF_KEY` where the estimator has a critic."""

PINNED_FLAGS: dict[str, FlagValue] = {
    "--ckpt.max_mem": 100_000_000,  # GB: no limit. The default was this number up to 0.9.8, and is inf since
    "--algo.advantage.is_correction_threshold": (0.5, 5.0),  # up to 0.9.0 an upper bound alone, 2 by default
}
"""Options without a spec key whose default is not the same in all versions; ``extra_args`` may set them otherwise."""

NAME_OF_KEY = {"train_batch_size": "train.batch_size", "output_dir": "checkpoint.output_dir"}
"""Keys above that are derived: what a user writes instead."""


def render_flags(
    spec: OpenRLHFSpec,
    *,
    reward_urls: Sequence[str] = (),
    agent_path: str | None = None,
    version: str = NEWEST,
) -> list[str]:
    """The words after ``python -m openrlhf.cli.train_ppo_ray``.

    Args:
        spec: the training.
        reward_urls: where samples are scored, or the path of one ``reward_func.py``.
        agent_path: the file of an agent, which scores its own episodes; instead of `reward_urls`.
        version: the OpenRLHF that will read them.

    Raises:
        ConfigError: a version that is not supported, a key that it cannot follow, or a raw flag that the spec has a
            key for or that would show a secret.
    """
    if bool(reward_urls) == (agent_path is not None):
        found = "both a reward and an agent" if reward_urls else "neither"
        raise ConfigError(
            f"{spec.name}: samples are scored at reward_urls or by the agent of agent_path, found {found}"
        )
    release = supported_version(version)
    planned = tell([*_plan_flags(spec), *_plan_scorer(reward_urls, agent_path)], name=spec.name, version=release)
    pinned = tell((Planned("extra_args", *pin) for pin in PINNED_FLAGS.items()), name=spec.name, version=release)
    extra = tell_extra_args(spec.extra_args, planned, name=spec.name, version=release)
    values = {flag: plan.value for flag, plan in (pinned | planned).items()} | extra
    return [word for flag, value in values.items() for word in _render_flag(flag, value)]


def _plan_flags(spec: OpenRLHFSpec) -> Iterator[Planned]:
    yield from _plan_keys(spec, FLAG_OF_KEY)
    yield from _plan_role("actor", "resources.actor", spec.resources.actor)
    if spec.reference is not None:
        yield from _plan_role("ref", "resources.reference", spec.reference)
    if spec.critic is not None:
        yield from _plan_role("critic", "resources.critic", spec.critic)
        yield from _plan_keys(spec, CRITIC_FLAG_OF_KEY)
    yield Planned("resources.colocate", "--train.colocate_all", spec.resources.colocate == "all")
    yield Planned("resources.colocate", "--train.colocate_actor_ref", spec.resources.colocate == "actor_ref")
    yield Planned("checkpoint.output_dir", "--ckpt.path", f"{spec.output_dir}/checkpoints")
    # Names the tensorboard folder; OpenRLHF's default is a time, which two runs can share. W&B is not OpenRLHF's task.
    yield Planned("name", "--logger.wandb.run_name", spec.logging.wandb_run_name or spec.name)


def _plan_keys(spec: OpenRLHFSpec, flag_of_key: Mapping[str, str]) -> Iterator[Planned]:
    for key, flag in flag_of_key.items():
        value: Any = reduce(getattr, key.split("."), spec)
        yield Planned(NAME_OF_KEY.get(key, key), flag, value)


def _plan_role(role: str, key: str, resources: RoleResources) -> Iterator[Planned]:
    yield Planned(key, f"--{role}.num_nodes", resources.nodes)
    yield Planned(key, f"--{role}.num_gpus_per_node", resources.gpus_per_node)


def _plan_scorer(reward_urls: Sequence[str], agent_path: str | None) -> Iterator[Planned]:
    if agent_path is not None:
        yield Planned("agent", "--train.agent_func_path", agent_path)
    else:
        yield Planned("reward", "--reward.remote_url", ",".join(reward_urls))


def _render_flag(flag: str, value: FlagValue) -> list[str]:
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, (list, tuple)):
        return [flag, *(str(item) for item in value)]
    # argparse would take a text that begins with a dash for another flag.
    return [f"{flag}={value}"] if isinstance(value, str) and value.startswith("-") else [flag, str(value)]
