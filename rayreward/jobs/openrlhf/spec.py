"""The typed description of one OpenRLHF training.

What arrives: a YAML file and dotted overrides such as ``rollout.n_samples_per_prompt=8``. What leaves: a frozen
`OpenRLHFSpec`, complete with defaults. Unknown keys are refused by name; nothing here knows a command-line flag
(`flags`), a cluster (`submit`) or whether the plan can work on one (`preflight`).

Required are three keys: ``name``, ``model.path`` and ``data.prompts``. A default differs from OpenRLHF's own where
that one hangs or idles on an ordinary cluster; the field says so.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, Self

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
    Seconds,
    Transport,
    absolute,
    absolute_if_local,
    is_local,
)
from rayreward.strict import StrictModel

Estimator = Literal["reinforce", "reinforce_baseline", "rloo", "group_norm", "dr_grpo", "flash_reinforce", "gae"]

GROUP_ESTIMATORS: frozenset[str] = frozenset({"reinforce_baseline", "rloo", "group_norm", "dr_grpo"})
"""Estimators whose baseline is the mean of a prompt's samples: with one sample every advantage is zero."""


class ModelSpec(StrictModel):
    """The policy that is trained: a folder or a hub name, and how it is loaded."""

    path: str
    dtype: Literal["bf16", "fp16"] = "bf16"
    attn_implementation: str | None = Field(None, description="None takes what suits the platform")
    gradient_checkpointing: bool = False
    critic_path: str | None = Field(None, description="gae only; None starts the critic from `path`")
    lora_rank: int = Field(0, ge=0, description="0 trains all weights")


class DataSpec(StrictModel):
    """The prompts: a JSONL file, or whatever `datasets.load_dataset` finds under the name."""

    prompts: str
    split: str = "train"
    input_key: str = "input"
    label_key: str | None = None
    apply_chat_template: bool = False
    input_template: str | None = Field(None, description="a text with one {} for the prompt")
    max_samples: Count | None = None
    max_len: Count = Field(2048, description="tokens of prompt and response together")

    @pydantic.field_validator("input_template")
    @classmethod
    def _has_a_place_for_the_prompt(cls, template: str | None) -> str | None:
        if template is not None and "{}" not in template:
            raise ValueError("has no {} for the prompt (OpenRLHF would drop the template without an error)")
        return template


class RolloutSpec(StrictModel):
    """What is generated in one step."""

    batch_size: Count = Field(128, description="prompts a step")
    n_samples_per_prompt: Count = 8
    micro_batch_size: Count = 8
    max_new_tokens: Count | None = Field(1024, description="None fills max_len")
    temperature: float = Field(1.0, gt=0)
    top_p: float = Field(1.0, gt=0, le=1)

    @property
    def samples_per_step(self) -> int:
        """Samples that one step generates and scores."""
        return self.batch_size * self.n_samples_per_prompt


class AlgorithmSpec(StrictModel):
    """How rewards become gradients."""

    estimator: Estimator = "group_norm"
    kl_coef: Rate = Field(0.0, description="above 0 a reference model takes GPUs of its own (OpenRLHF: 0.01)")
    kl_estimator: Literal["k1", "k2", "k3"] = "k1"
    kl_as_loss: bool = False
    gamma: Fraction = 1.0
    gae_lambda: Fraction = 1.0
    clip_range: Rate = 0.2
    entropy_coef: Rate | None = None
    dynamic_filtering: bool = Field(False, description="replace prompts whose mean score is outside the range")
    dynamic_filtering_range: tuple[float, float] = (0.0, 1.0)

    @pydantic.model_validator(mode="after")
    def _filter_lets_something_through(self) -> Self:
        low, high = self.dynamic_filtering_range
        if low >= high:
            raise ValueError(f"dynamic_filtering_range {low}..{high} is empty: the first number must be the lower one")
        return self


class OptimizerSpec(StrictModel):
    """AdamW and its schedule."""

    learning_rate: Rate = 1e-6
    critic_learning_rate: Rate = 9e-6
    scheduler: str = "cosine_with_min_lr"
    warmup_ratio: Fraction = 0.03
    min_lr_ratio: Fraction = 0.1
    weight_decay: Rate = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    max_grad_norm: Rate = 1.0


class TrainSpec(StrictModel):
    """How a step's samples are learnt from."""

    batch_size: Count | None = Field(None, description="samples an optimizer step; None takes all of a step's samples")
    micro_batch_size: Count = Field(1, description="samples a forward pass and GPU")
    epochs: Count = Field(1, description="passes over one step's samples")
    episodes: Count = Field(1, description="passes over the prompts")
    seed: int = 42
    async_rollout: bool = Field(False, description="generate the next step while this one is learnt from")
    async_queue_size: Count = 1
    zero_stage: Literal[0, 1, 2, 3] = 2
    adam_offload: bool = False
    packing_samples: bool = False
    sleep: bool = Field(False, description="leave the GPUs' memory while engines generate; with colocate: all")


class RoleResources(StrictModel):
    """The GPUs of one model. OpenRLHF's own default is 8 a role: on a smaller cluster it waits for ever."""

    nodes: Count = 1
    gpus_per_node: Count = 1

    @property
    def gpus(self) -> int:
        """GPUs over all nodes."""
        return self.nodes * self.gpus_per_node


class VllmResources(StrictModel):
    """The engines that generate."""

    engines: Count = 1
    tensor_parallel: Count = 1
    gpu_memory_utilization: float = Field(0.9, gt=0, le=1, description="about 0.5 where models share the GPUs")
    enforce_eager: bool = False
    prefix_caching: bool = False
    sync_backend: Literal["nccl", "gloo"] = "nccl"
    sleep: bool = Field(False, description="free the engines' memory while learning; with colocate: all")

    @property
    def gpus(self) -> int:
        """GPUs over all engines."""
        return self.engines * self.tensor_parallel


class ResourcesSpec(StrictModel):
    """Who runs where. Reference and critic take the actor's shape when they are needed and not described."""

    actor: RoleResources = RoleResources()
    reference: RoleResources | None = None
    critic: RoleResources | None = None
    vllm: VllmResources = VllmResources()
    colocate: Literal["none", "actor_ref", "all"] = "none"
    autoscaled: bool = Field(False, description="the cluster adds nodes on demand: missing GPUs are no mistake")


class AgentSpec(StrictModel):
    """Multi-turn episodes instead of single responses; see `rayreward.agents`."""

    environment: str = Field(description="file.py::Name or package.module:Name of an Environment, or of an executor")
    args: dict[str, Any] = Field(default_factory=dict, description="keyword arguments of the environment")
    max_turns: Count = 4
    max_turn_tokens: Count | None = Field(None, description="of one response; None is rollout.max_new_tokens")
    rewards: Literal["end", "step", "environment"] = Field(
        "end",
        description="end: the router scores the whole episode. step: it scores every turn, and the episode gets their "
        "sum. environment: the numbers that the environment's steps give",
    )
    group: bool = Field(False, description="score all episodes of a prompt in one call, when the last has ended")
    group_wait_s: Seconds = Field(120.0, description="how long an ended episode waits for the others of its prompt")
    step_timeout_s: Seconds = Field(60.0, description="of one reset or step of the environment")


class OpenRLHFSpec(StrictModel):
    """One training by OpenRLHF's ``train_ppo_ray``.

    Example:
        >>> spec = OpenRLHFSpec.parse(
        ...     {"name": "first", "model": {"path": "Qwen/Qwen2.5-0.5B"}, "data": {"prompts": "./prompts.jsonl"}},
        ...     source="example",
        ... )
        >>> spec.rollout.samples_per_step
        1024
    """

    kind: Literal["openrlhf"] = "openrlhf"
    name: JobName
    platform: Platform = "gpu"
    openrlhf_version: str | None = Field(None, description="on the cluster; None is the one installed here")
    model: ModelSpec
    data: DataSpec
    rollout: RolloutSpec = RolloutSpec()
    algorithm: AlgorithmSpec = AlgorithmSpec()
    optimizer: OptimizerSpec = OptimizerSpec()
    train: TrainSpec = TrainSpec()
    resources: ResourcesSpec = ResourcesSpec()
    reward: RewardBinding = RewardBinding()
    agent: AgentSpec | None = None
    logging: LoggingSpec = LoggingSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()
    env_vars: dict[str, str] = Field(default_factory=dict, description="for the job's processes; never a secret")
    extra_args: dict[str, ExtraValue] = Field(default_factory=dict, description="raw flags, with or without dashes")

    @property
    def output_dir(self) -> str:
        """The folder of the final model."""
        return self.checkpoint.folder_of(self.name)

    @property
    def train_batch_size(self) -> int:
        """Samples an optimizer step."""
        return self.train.batch_size or self.rollout.samples_per_step

    @property
    def reference(self) -> RoleResources | None:
        """The reference model's GPUs; None where no KL is computed."""
        return (self.resources.reference or self.resources.actor) if self.algorithm.kl_coef > 0 else None

    @property
    def critic(self) -> RoleResources | None:
        """The critic's GPUs; None where the estimator has no critic."""
        return (self.resources.critic or self.resources.actor) if self.algorithm.estimator == "gae" else None

    @property
    def uses_local_files_only(self) -> bool:
        """Whether model and prompts are files, so that nothing has to be asked of a hub."""
        return is_local(self.model.path) and is_local(self.data.prompts)

    @property
    def transport(self) -> Transport:
        """How samples get to the reward."""
        if self.reward.transport is not None:
            return self.reward.transport
        if self.agent is not None:
            return "agent"
        return "http" if self.reward.urls else "handle"

    def planned_steps(self, *, prompt_count: int | None = None) -> int | None:
        """Steps that the training will take, a last one that is not full included.

        None where neither the spec nor the caller says how many prompts there are. With dynamic filtering it is an
        upper bound: each prompt that is filtered out is replaced by another one of the same episode.
        """
        known = [count for count in (self.data.max_samples, prompt_count) if count is not None]
        return math.ceil(min(known) / self.rollout.batch_size) * self.train.episodes if known else None

    def resolved(self, base: Path) -> Self:
        """The same with absolute local paths."""
        critic = self.model.critic_path
        model = {
            "path": absolute_if_local(self.model.path, base),
            "critic_path": None if critic is None else absolute_if_local(critic, base),
        }
        update: dict[str, Any] = {
            "model": self.model.model_copy(update=model),
            "data": self.data.model_copy(update={"prompts": absolute_if_local(self.data.prompts, base)}),
            "checkpoint": self.checkpoint.resolved(base, name=self.name),
            "logging": self.logging.resolved(base),
        }
        if self.agent is not None and "::" in self.agent.environment:
            where, _, name = self.agent.environment.partition("::")
            update["agent"] = self.agent.model_copy(update={"environment": f"{absolute(where, base)}::{name}"})
        return self.model_copy(update=update)

    @pydantic.field_validator("openrlhf_version", mode="before")
    @classmethod
    def _is_no_number(cls, version: Any) -> Any:
        if isinstance(version, float):
            raise ValueError("a version is a text, and YAML reads this one as a number: put it in quotes")
        return version

    @pydantic.model_validator(mode="after")
    def _transport_fits_the_agent(self) -> Self:
        if self.agent is not None and self.transport != "agent":
            raise ValueError(f"reward.transport is {self.transport}, and an agent's episodes need agent: leave it out")
        if self.agent is None and self.transport == "agent":
            raise ValueError("reward.transport: agent needs an agent section that names the environment")
        return self
