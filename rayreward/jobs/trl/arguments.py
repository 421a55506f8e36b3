"""From a spec to the fields of TRL's GRPOConfig, as plain values: neither TRL nor torch is needed to see them.

A step generates ``rollout.batch_size`` prompts' samples and learns from all of them in one optimizer step
(``algorithm.iterations`` of them), in portions of ``train.micro_batch_size`` samples a process.
"""

from __future__ import annotations

from typing import Any

from rayreward.jobs.trl.spec import TrlSpec


def grpo_arguments(spec: TrlSpec) -> dict[str, Any]:
    """Keyword arguments of GRPOConfig; those of `extra_args` last.

    Example:
        >>> spec = TrlSpec.parse({"name": "a", "model": {"path": "m"}, "data": {"prompts": "p.jsonl"}}, source="a")
        >>> found = grpo_arguments(spec)
        >>> found["per_device_train_batch_size"], found["gradient_accumulation_steps"], found["num_generations"]
        (8, 16, 8)
    """
    return {**_samples(spec), **_learning(spec), **_optimizer(spec), **_keeping(spec), **spec.extra_args}


def _samples(spec: TrlSpec) -> dict[str, Any]:
    rollout, micro_batch = spec.rollout, spec.train.micro_batch_size
    portions = rollout.samples_per_step // (micro_batch * spec.process_count)
    found: dict[str, Any] = {
        "per_device_train_batch_size": micro_batch,
        "gradient_accumulation_steps": portions,
        "steps_per_generation": portions,
        "num_generations": rollout.n_samples_per_prompt,
        "max_completion_length": rollout.max_new_tokens,
        "temperature": rollout.temperature,
        "top_p": rollout.top_p,
        "use_vllm": rollout.vllm != "off",
    }
    if rollout.vllm != "off":
        found |= {"vllm_mode": rollout.vllm, "vllm_gpu_memory_utilization": rollout.vllm_gpu_memory_utilization}
    return found


def _learning(spec: TrlSpec) -> dict[str, Any]:
    algorithm, model = spec.algorithm, spec.model
    loading = {"dtype": "float32"}
    if model.attn_implementation is not None:
        loading["attn_implementation"] = model.attn_implementation
    return {
        "loss_type": algorithm.loss_type,
        "beta": algorithm.kl_coef,
        "epsilon": algorithm.clip_range,
        "epsilon_high": algorithm.clip_range_high,
        "scale_rewards": algorithm.scale_rewards,
        "num_iterations": algorithm.iterations,
        "mask_truncated_completions": algorithm.mask_truncated,
        "model_init_kwargs": loading,
        "gradient_checkpointing": model.gradient_checkpointing,
        "bf16": spec.dtype == "bf16",
        "fp16": spec.dtype == "fp16",
        "use_cpu": spec.platform == "cpu",
        "max_steps": spec.train.steps or -1,
        "num_train_epochs": spec.train.epochs,
        "seed": spec.train.seed,
    }


def _optimizer(spec: TrlSpec) -> dict[str, Any]:
    optimizer = spec.optimizer
    found: dict[str, Any] = {
        "learning_rate": optimizer.learning_rate,
        "lr_scheduler_type": optimizer.scheduler,
        "warmup_steps": optimizer.warmup_ratio,  # below 1 it is a share of all steps
        "weight_decay": optimizer.weight_decay,
        "adam_beta1": optimizer.betas[0],
        "adam_beta2": optimizer.betas[1],
        "max_grad_norm": optimizer.max_grad_norm,
    }
    if optimizer.scheduler == "cosine_with_min_lr":
        found["lr_scheduler_kwargs"] = {"min_lr_rate": optimizer.min_lr_ratio}
    return found


def _keeping(spec: TrlSpec) -> dict[str, Any]:
    checkpoint = spec.checkpoint
    found: dict[str, Any] = {
        "output_dir": spec.output_dir,
        "run_name": spec.logging.wandb_run_name or spec.name,
        "logging_strategy": "steps",
        "logging_steps": spec.logging.every_steps,
        # The job that follows the log writes W&B itself, with the router's counts beside the trainer's metrics.
        "report_to": [] if spec.logging.tensorboard_dir is None else ["tensorboard"],
        "save_strategy": "no" if checkpoint.save_steps is None else "steps",
        "save_total_limit": checkpoint.keep,
        "disable_tqdm": True,
    }
    if checkpoint.save_steps is not None:
        found["save_steps"] = checkpoint.save_steps
    return found
