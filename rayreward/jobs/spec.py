"""The typed description of one OpenRLHF training.

What arrives: a YAML file and dotted overrides such as ``rollout.n_samples_per_prompt=8``. What leaves: a frozen
`OpenRLHFSpec`, complete with defaults. Unknown keys are refused by name; nothing here knows a command-line flag
(`openrlhf_flags`), a cluster (`submit`) or whether the plan can work on one (`preflight`).

Required are three keys: ``name``, ``model.path`` and ``data.prompts``. A default differs from OpenRLHF's own where
that one hangs or idles on an ordinary cluster; the field says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

import pydantic
from pydantic import Field

from rayreward.jobs.overrides import apply_overrides
from rayreward.strict import StrictModel, read_yaml

Count = Annotated[int, Field(ge=1)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0)]
Platform = Literal["gpu", "cpu"]
Estimator = Literal["reinforce", "reinforce_baseline", "rloo", "group_norm", "dr_grpo", "flash_reinforce", "gae"]
ExtraValue = bool | int | float | str | list[int | float | str]

GROUP_ESTIMATORS: frozenset[str] = frozenset({"reinforce_baseline", "rloo", "group_norm", "dr_grpo"})
"""Estimators whose baseline is the mean of a prompt's samples: with one sample every advantage is zero."""

LOCAL_SUFFIXES = (".jsonl", ".json", ".csv", ".parquet", ".arrow")


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


class RewardSpec(StrictModel):
    """Who scores: explicit URLs, or a reward served by the router that the job is submitted beside.

    Without either the router's default route scores.
    """

    name: str | None = None
    url: str | list[str] | None = None
    clip_range: tuple[float, float] = (-10.0, 10.0)

    @property
    def urls(self) -> tuple[str, ...]:
        """The explicit URLs; empty where a router is to be bound."""
        if self.url is None:
            return ()
        return (self.url,) if isinstance(self.url, str) else tuple(self.url)

    @pydantic.model_validator(mode="after")
    def _names_one_scorer(self) -> Self:
        if self.name is not None and self.url is not None:
            raise ValueError("both name and url are set: keep name for a reward of the router, or url for any other")
        for url in self.urls:
            if "," in url or not url.startswith(("http://", "https://")):
                raise ValueError(
                    f"url {url!r} must start with http:// or https:// and hold no comma; several are a list"
                )
        return self


class LoggingSpec(StrictModel):
    """Where OpenRLHF writes its metrics, besides the job's log."""

    every_steps: Count = 1
    tensorboard_dir: str | None = None
    wandb_project: str | None = Field(None, description="the key comes from WANDB_API_KEY or netrc on the nodes")
    wandb_run_name: str | None = None


class CheckpointSpec(StrictModel):
    """What is kept of the training."""

    output_dir: str | None = Field(None, description="the final model; None is ./runs/<name>")
    save_steps: Count | None = Field(None, description="None saves only the final model")
    save_hf: bool = False
    keep: Count = 3
    resume: bool = False


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
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    platform: Platform = "gpu"
    model: ModelSpec
    data: DataSpec
    rollout: RolloutSpec = RolloutSpec()
    algorithm: AlgorithmSpec = AlgorithmSpec()
    optimizer: OptimizerSpec = OptimizerSpec()
    train: TrainSpec = TrainSpec()
    resources: ResourcesSpec = ResourcesSpec()
    reward: RewardSpec = RewardSpec()
    logging: LoggingSpec = LoggingSpec()
    checkpoint: CheckpointSpec = CheckpointSpec()
    env_vars: dict[str, str] = Field(default_factory=dict, description="for the job's processes; never a secret")
    extra_args: dict[str, ExtraValue] = Field(default_factory=dict, description="raw flags, with or without dashes")

    @property
    def output_dir(self) -> str:
        """The folder of the final model."""
        return self.checkpoint.output_dir or f"./runs/{self.name}"

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


def load_spec(path: str | Path, overrides: Iterable[str] = (), *, base: Path | None = None) -> OpenRLHFSpec:
    """Read a YAML spec, apply dotted overrides, and make its local paths absolute.

    Args:
        path: the YAML file.
        overrides: ``key.path=value`` texts; the value is read as YAML.
        base: the folder that local paths are relative to; the working directory by default, as on a command line.

    Raises:
        ConfigError: a file, key or value that cannot be, with what would be valid.
    """
    data = apply_overrides(read_yaml(path), overrides)
    return resolve_paths(OpenRLHFSpec.parse(data, source=str(path)), base or Path.cwd())


def is_local(path: str) -> bool:
    """Whether a path names files here rather than something on a hub, whose names are like ``owner/name``.

    Example:
        >>> is_local("Qwen/Qwen2.5-0.5B"), is_local("./Qwen/mine"), is_local("runs/a/model"), is_local("prompts.jsonl")
        (False, True, True, True)
    """
    is_deep = path.count("/") > 1 and "," not in path  # OpenRLHF takes several hub names with commas
    return path.startswith(("/", "./", "../", "~")) or path.endswith(LOCAL_SUFFIXES) or is_deep


def resolve_paths(spec: OpenRLHFSpec, base: Path) -> OpenRLHFSpec:
    """The spec with absolute local paths: a Ray job starts in a working directory of its own."""

    def absolute(path: str) -> str:
        return os.path.normpath(base / Path(path).expanduser()) if is_local(path) else path

    def folder(path: str | None) -> str | None:
        return None if path is None else os.path.normpath(base / Path(path).expanduser())

    critic = spec.model.critic_path
    model = {"path": absolute(spec.model.path), "critic_path": None if critic is None else absolute(critic)}
    return spec.model_copy(
        update={
            "model": spec.model.model_copy(update=model),
            "data": spec.data.model_copy(update={"prompts": absolute(spec.data.prompts)}),
            "checkpoint": spec.checkpoint.model_copy(update={"output_dir": folder(spec.output_dir)}),
            "logging": spec.logging.model_copy(update={"tensorboard_dir": folder(spec.logging.tensorboard_dir)}),
        }
    )
