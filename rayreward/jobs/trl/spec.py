"""The typed description of one TRL training: GRPO on the GPUs of one node, or on CPUs.

What arrives: a YAML file and dotted overrides such as ``rollout.n_samples_per_prompt=4``. What leaves: a frozen
`TrlSpec`, complete with defaults. Unknown keys are refused by name; nothing here knows a field of TRL's configuration
(`arguments`) or a cluster.

Required are three keys: ``name``, ``model.path`` and ``data.prompts``. Sections and names are those of OpenRLHF's spec
where they mean the same.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, Self

import pydantic
from pydantic import Field

from rayreward.jobs.sections import (
    CheckpointSpec,
    Count,
    ExtraValue,
    Fraction,
    JobName,
    LoggingSpec,
    Platform,
    Rate,
    RewardBinding,
    Transport,
    absolute_if_local,
    is_local,
)
from rayreward.jobs.trl.names import SET_BY_SPEC
from rayreward.strict import StrictModel

Dtype = Literal["bf16", "fp16", "fp32"]
LossType = Literal["grpo", "dr_grpo", "dapo", "bnpo", "cispo", "sapo", "luspo", "vespo"]


class ModelSpec(StrictModel):
    """The policy that is trained: a folder or a hub name, and how it is loaded."""

    path: str
    dtype: Dtype | None = Field(
        None,
        description="of computation; the weights are kept in fp32, where steps as small as 1e-6 are not rounded away. "
        "None takes bf16 on GPUs and fp32 on CPUs",
    )
    attn_implementation: str | None = None
    gradient_checkpointing: bool = False
    lora_rank: int = Field(0, ge=0, description="0 trains all weights; alpha is twice the rank")


class DataSpec(StrictModel):
    """The prompts: a file, or whatever `datasets.load_dataset` finds under the name. Other columns go to the reward."""

    prompts: str
    split: str = "train"
    input_key: str = "input"
    label_key: str | None = None
    apply_chat_template: bool = Field(False, description="a text becomes a user's message; a chat is taken as it is")
    max_samples: Count | None = None


class RolloutSpec(StrictModel):
    """What is generated in one step."""

    batch_size: Count = Field(16, description="prompts a step")
    n_samples_per_prompt: int = Field(8, ge=2, description="one sample alone would have advantage zero")
    max_new_tokens: Count = 512
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)
    vllm: Literal["off", "colocate"] = Field("off", description="colocate: vLLM generates on the training's own GPUs")
    vllm_gpu_memory_utilization: float = Field(0.3, gt=0, le=1)

    @property
    def samples_per_step(self) -> int:
        """Samples that one step generates, scores and learns from."""
        return self.batch_size * self.n_samples_per_prompt


class AlgorithmSpec(StrictModel):
    """How rewards become gradients."""

    loss_type: LossType = "dapo"
    kl_coef: Rate = Field(0.0, description="above 0 a reference model is kept in memory")
    clip_range: Rate = 0.2
    clip_range_high: Rate | None = Field(None, description="None is clip_range")
    scale_rewards: Literal["group", "batch", "none"] = "group"
    iterations: Count = Field(1, description="optimizer steps on one step's samples")
    mask_truncated: bool = Field(False, description="learn nothing from responses that were cut off")


class OptimizerSpec(StrictModel):
    """AdamW and its schedule."""

    learning_rate: Rate = 1e-6
    scheduler: str = "cosine_with_min_lr"
    warmup_ratio: float = Field(0.03, ge=0, lt=1)
    min_lr_ratio: Fraction = Field(0.1, description="for cosine_with_min_lr")
    weight_decay: Rate = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    max_grad_norm: Rate = 1.0


class TrainSpec(StrictModel):
    """How long, and in which portions."""

    steps: Count | None = Field(None, description="optimizer steps; None takes epochs")
    epochs: float = Field(1.0, gt=0, description="passes over the prompts")
    micro_batch_size: Count = Field(8, description="samples a forward pass and GPU")
    seed: int = 42


class ResourcesSpec(StrictModel):
    """What the training takes of its one node."""

    gpus: int = Field(1, ge=0, description="one process each; platform cpu takes none")
    cpus: Count = 1


class TrlSpec(StrictModel):
    """One training by TRL's ``GRPOTrainer``.

    Example:
        >>> spec = TrlSpec.parse(
        ...     {"name": "first", "model": {"path": "Qwen/Qwen2.5-0.5B"}, "data": {"prompts": "./prompts.jsonl"}},
        ...     source="example",
        ... )
        >>> spec.rollout.samples_per_step
        128
    """

    kind: Literal["trl"] = "trl"
    name: JobName
    platform: Platform = "gpu"
    model: ModelSpec
    data: DataSpec
    rollout: RolloutSpec = RolloutSpec()
    algorithm: AlgorithmSpec = AlgorithmSpec()
    optimizer: OptimizerSpec = OptimizerSpec()
    train: TrainSpec = TrainSpec()
    resources: ResourcesSpec = ResourcesSpec()
    reward: RewardBinding = RewardBinding()
    logging: LoggingSpec = LoggingSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()
    env_vars: dict[str, str] = Field(default_factory=dict, description="for the job's processes; never a secret")
    extra_args: dict[str, ExtraValue] = Field(default_factory=dict, description="raw fields of TRL's GRPOConfig")

    @property
    def output_dir(self) -> str:
        """The folder of the final model and the checkpoints."""
        return self.checkpoint.folder_of(self.name)

    @property
    def transport(self) -> Transport:
        """How samples get to the reward."""
        return self.reward.transport or ("http" if self.reward.urls else "handle")

    @property
    def process_count(self) -> int:
        """Processes that train: one a GPU."""
        return max(1, self.gpus)

    @property
    def gpus(self) -> int:
        """GPUs of the one node."""
        return 0 if self.platform == "cpu" else self.resources.gpus

    @property
    def dtype(self) -> Dtype:
        """What is computed in."""
        return self.model.dtype or ("bf16" if self.gpus else "fp32")

    @property
    def uses_local_files_only(self) -> bool:
        """Whether model and prompts are files, so that nothing has to be asked of a hub."""
        return is_local(self.model.path) and is_local(self.data.prompts)

    def planned_steps(self, *, prompt_count: int | None = None) -> int | None:
        """Optimizer steps that the training will take; None where nobody says how many prompts there are."""
        if self.train.steps is not None:
            return self.train.steps
        known = [count for count in (self.data.max_samples, prompt_count) if count is not None]
        if not known:
            return None
        # TRL drops a last batch that is not full.
        per_epoch = max(1, min(known) // self.rollout.batch_size) * self.algorithm.iterations
        return math.ceil(per_epoch * self.train.epochs)

    def resolved(self, base: Path) -> Self:
        """The same with absolute local paths."""
        return self.model_copy(
            update={
                "model": self.model.model_copy(update={"path": absolute_if_local(self.model.path, base)}),
                "data": self.data.model_copy(update={"prompts": absolute_if_local(self.data.prompts, base)}),
                "checkpoint": self.checkpoint.resolved(base, name=self.name),
                "logging": self.logging.resolved(base),
            }
        )

    @pydantic.model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.platform == "gpu" and not self.resources.gpus:
            raise ValueError("resources.gpus is 0: for a training without GPUs set platform: cpu")
        if self.platform == "cpu" and self.rollout.vllm != "off":
            raise ValueError("rollout.vllm: colocate shares GPUs with the training, and platform is cpu: leave it out")
        samples, portion = self.rollout.samples_per_step, self.train.micro_batch_size * self.process_count
        if samples % portion:
            raise ValueError(
                f"a step's {samples} samples (rollout.batch_size x n_samples_per_prompt) cannot be split into portions "
                f"of {portion} (train.micro_batch_size x resources.gpus): change one so that it divides"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _reaches_its_reward(self) -> Self:
        if self.transport not in ("http", "handle"):
            raise ValueError(f"reward.transport is {self.transport}, which is OpenRLHF's: use http or handle")
        if len(self.reward.urls) > 1:
            raise ValueError("reward.url holds several URLs: TRL's samples go to one service; keep one")
        return self

    @pydantic.model_validator(mode="after")
    def _extra_args_repeat_nothing(self) -> Self:
        for name in self.extra_args:
            if name in SET_BY_SPEC:
                raise ValueError(f"extra_args.{name} is set by the key {SET_BY_SPEC[name]}: use that")
        return self
