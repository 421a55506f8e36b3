"""From a spec to the dotted command-line flags of OpenRLHF 0.11.2.

What arrives: an `OpenRLHFSpec` and the reward URLs. What leaves: a list of words. What it promises: every option that
hangs or fails at its default is set explicitly; a raw flag of ``extra_args`` that a spec key already sets is refused.
It is pure: whether the installed OpenRLHF knows the flags is `parser`'s question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from typing import Any

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec, RoleResources

FlagValue = bool | int | float | str | Sequence[int | float | str] | None

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
"""The flag of each spec key that is rendered as it stands; None and False leave the flag out."""

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

WANDB_KEY_IS_IN_THE_ENVIRONMENT = "from-environment"
"""The flag's value switches W&B on; OpenRLHF uses it as a key only on a node that has none (logging_utils.py).
A command line is readable by everybody on the cluster, so the real key never stands there."""

OWNER_OF_SECRET_FLAG = {"--logger.wandb.key": "logging.wandb_project, with WANDB_API_KEY set on the nodes"}


def render_flags(spec: OpenRLHFSpec, *, reward_urls: Sequence[str]) -> list[str]:
    """The words after ``python -m openrlhf.cli.train_ppo_ray``.

    Raises:
        ConfigError: a raw flag that the spec has a key for, or that would show a secret.
    """
    flags = dict(_plan_flags(spec, reward_urls))
    extra = {f"--{name.removeprefix('--')}": value for name, value in spec.extra_args.items()}
    _refuse_doubled_flags(spec.name, flags, extra)
    return [word for flag, value in (flags | extra).items() for word in _render_flag(flag, value)]


def _plan_flags(spec: OpenRLHFSpec, reward_urls: Sequence[str]) -> Iterator[tuple[str, FlagValue]]:
    for key, flag in FLAG_OF_KEY.items():
        yield flag, _value_at(spec, key)
    yield from _role_flags("actor", spec.resources.actor)
    if spec.reference is not None:
        yield from _role_flags("ref", spec.reference)
    if spec.critic is not None:
        yield from _role_flags("critic", spec.critic)
        yield from ((flag, _value_at(spec, key)) for key, flag in CRITIC_FLAG_OF_KEY.items())
    yield "--train.colocate_all", spec.resources.colocate == "all"
    yield "--train.colocate_actor_ref", spec.resources.colocate == "actor_ref"
    yield "--ckpt.path", f"{spec.output_dir}/checkpoints"
    yield "--reward.remote_url", ",".join(reward_urls)
    if spec.logging.wandb_project is not None:
        yield "--logger.wandb.key", WANDB_KEY_IS_IN_THE_ENVIRONMENT
        yield "--logger.wandb.project", spec.logging.wandb_project
    # Also names the tensorboard folder; OpenRLHF's default is a time, which two runs can share.
    yield "--logger.wandb.run_name", spec.logging.wandb_run_name or spec.name


def _role_flags(role: str, resources: RoleResources) -> Iterator[tuple[str, FlagValue]]:
    yield f"--{role}.num_nodes", resources.nodes
    yield f"--{role}.num_gpus_per_node", resources.gpus_per_node


def _value_at(spec: OpenRLHFSpec, key: str) -> Any:
    return reduce(getattr, key.split("."), spec)


def _refuse_doubled_flags(name: str, flags: dict[str, FlagValue], extra: dict[str, Any]) -> None:
    key_of_flag = {flag: key for key, flag in FLAG_OF_KEY.items()}
    for flag in extra:
        if flag in OWNER_OF_SECRET_FLAG:
            raise ConfigError(f"{name}: extra_args: {flag} shows a secret; use {OWNER_OF_SECRET_FLAG[flag]}")
        if flag in flags:
            owner = key_of_flag.get(flag, "a key of its own section")
            raise ConfigError(f"{name}: extra_args: {flag} is already set by {owner}; change it there")


def _render_flag(flag: str, value: FlagValue) -> list[str]:
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, (list, tuple)):
        return [flag, *(str(item) for item in value)]
    return [flag, str(value)]
