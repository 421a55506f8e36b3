"""Rewards as configuration: what a YAML file, the command line or a deployment says of one reward.

What arrives: names, addresses and arguments. What leaves: a `RewardFunction`, or an error that names the mistake.
Nothing here serves.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import pydantic

from rayreward.batches import DIRECT_MAX_BYTES
from rayreward.compose import Method
from rayreward.errors import ConfigError, did_you_mean
from rayreward.function import Isolation, RewardFunction
from rayreward.loading import check_address, load_object
from rayreward.rewards import BUILTINS, CompositeReward
from rayreward.strict import StrictModel, describe_mistakes

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_RESERVED = frozenset({"v1", "get_reward", "health", "ready", "metrics", "evaluate", "openapi.json"})

_MODELS = frozenset({"reward_model", "ensemble"})
"""Built-ins that share what they compute of a prompt among its samples."""


class PartSpec(StrictModel):
    """A reward, or a part of a composite.

    Attributes:
        import_path: ``file.py::name`` or ``package.module:name``; a function, or a `RewardFunction`.
        builtin: the name of a built-in reward instead.
        args: what it is made with (a class) or called with (a function).
        parts: of a composite instead; each with a weight.
        combine: how a composite's parts combine; `threshold`, `closed_score`, `penalty` and `min_members` are of some
            ways: see `rayreward.compose.Rule`.
        weight: in the composite that this is a part of.
        optional: whether the composite may go on without it.
    """

    name: str | None = None
    import_path: str | None = None
    builtin: str | None = None
    args: dict[str, Any] = pydantic.Field(default_factory=dict)
    parts: list[PartSpec] = pydantic.Field(default_factory=list)
    combine: Method = "weighted_sum"
    threshold: float = 0.5
    closed_score: float = 0.0
    penalty: float = 1.0
    min_members: int | None = None
    weight: float = 1.0
    optional: bool = False

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        given = [key for key in ("import_path", "builtin", "parts") if getattr(self, key)]
        if len(given) != 1:
            raise ValueError(f"needs one of import_path, builtin or parts; found {' and '.join(given) or 'none'}")
        if self.builtin is not None and self.builtin not in BUILTINS:
            raise ValueError(f"unknown builtin {self.builtin!r}; {did_you_mean(self.builtin, BUILTINS)}")
        if self.parts and self.args:
            raise ValueError("a composite of parts takes no args; they belong to its parts")
        return self

    def check_loadable(self) -> None:
        """Refuse, before anything starts, what cannot load, as far as that shows without running foreign code.

        Raises:
            RewardLoadError: a missing file, or a name that it does not define.
            ConfigError: a built-in's arguments do not fit.
        """
        if self.import_path:
            check_address(self.import_path)
        if self.builtin:
            load_reward(self.builtin, self.args)
        for part in self.parts:
            part.check_loadable()

    def with_absolute_paths(self) -> Self:
        """The same with files by their full path: a replica's working directory is Ray's, not the caller's."""
        parts = [part.with_absolute_paths() for part in self.parts]
        return self.model_copy(update={"import_path": _absolute(self.import_path), "parts": parts})

    def build(self) -> RewardFunction:
        """The reward.

        Raises:
            ConfigError: the arguments do not fit.
            RewardLoadError: its code cannot be loaded.
        """
        if self.parts:
            listed = [(part.build(), part.weight, part.name or part.default_name()) for part in self.parts]
            optional = [part.name or part.default_name() for part in self.parts if part.optional]
            reward: RewardFunction = CompositeReward(
                listed,
                self.combine,
                threshold=self.threshold,
                closed_score=self.closed_score,
                penalty=self.penalty,
                min_members=self.min_members,
                optional=optional,
            )
        else:
            reward = load_reward(self.import_path or self.builtin or "", self.args)
        if self.name:
            reward.name = self.name
        return reward

    @property
    def has_model(self) -> bool:
        """Whether it is, or has a part that is, a reward model, which computes a prompt's samples best together."""
        return self.builtin in _MODELS or any(part.has_model for part in self.parts)

    def default_name(self) -> str:
        """The built-in's name, or the last part of the address."""
        return self.builtin or (self.import_path or "composite").replace("::", ":").rsplit(":", 1)[-1]


class CandidateSpec(StrictModel):
    """Another version of a reward, loaded beside the live one: what differs, and who meets it.

    What is left out is the live version's. `args` are laid over its; one that has another code (`import_path`,
    `builtin` or `parts`) has args of its own.

    Attributes:
        canary_percent: of the prompts, which the candidate answers.
        shadow_percent: of the prompts, which the candidate scores too, to be compared and logged, never returned.
    """

    import_path: str | None = None
    builtin: str | None = None
    args: dict[str, Any] = pydantic.Field(default_factory=dict)
    parts: list[PartSpec] = pydantic.Field(default_factory=list)
    combine: Method = "weighted_sum"
    threshold: float = 0.5
    closed_score: float = 0.0
    penalty: float = 1.0
    min_members: int | None = None
    isolation: Isolation | None = None
    timeout_s: float | None = None
    memory_bytes: int | None = None
    process_count: int = 1
    num_replicas: int | None = None
    autoscaling_config: dict[str, Any] = pydantic.Field(default_factory=dict)
    ray_actor_options: dict[str, Any] = pydantic.Field(default_factory=dict)
    max_ongoing_requests: int = 2
    max_batch_samples: int | None = None
    max_batch_bytes: int = DIRECT_MAX_BYTES
    max_batch_tokens: int | None = None
    canary_percent: float = pydantic.Field(default=0.0, ge=0, le=100)
    shadow_percent: float = pydantic.Field(default=0.0, ge=0, le=100)

    def over(self, live: RewardSpec) -> RewardSpec:
        """The whole spec of the candidate beside this live one.

        Raises:
            ValueError: the two together are no spec.
        """
        merged = {name: value for name, value in _given(live).items() if name != "candidate"}
        if self.import_path or self.builtin or self.parts:
            merged = {name: value for name, value in merged.items() if name not in _CODE}
        given = {
            name: value for name, value in _given(self).items() if name not in ("canary_percent", "shadow_percent")
        }
        args = {**merged.get("args", {}), **self.args}
        if "num_replicas" in given:  # a fixed number and autoscaling exclude each other
            merged.pop("autoscaling_config", None)
        if "autoscaling_config" in given:
            merged.pop("num_replicas", None)
        return RewardSpec.model_validate({**merged, **given, "args": args})

    def with_absolute_paths(self) -> CandidateSpec:
        """The same with files by their full path."""
        parts = [part.with_absolute_paths() for part in self.parts]
        found = {"import_path": _absolute(self.import_path), "parts": parts}
        return self.model_copy(update={name: value for name, value in found.items() if name in self.model_fields_set})


_CODE = frozenset(
    {"import_path", "builtin", "args", "parts", "combine", "threshold", "closed_score", "penalty", "min_members"}
)
"""Settings that belong to one reward's code, and mean nothing to another's."""


class RewardSpec(PartSpec):
    """One served reward.

    Attributes:
        name: its place in URLs: letters, digits, ``_ . -``.
        isolation: where it runs in its replica; the reward's own default where left out.
        in_router: it has no replicas and runs inline in the router itself: for rewards of microseconds, which cost
            less than the call that would carry them. One that blocks there holds up every other reward.
        timeout_s: seconds that a sample (pointwise) or a call (batch) may take.
        memory_bytes: what each killable process may take beside what the reward has loaded; the reward's own, 4 GiB
            where it has none.
        process_count: killable processes a replica.
        num_replicas: a fixed number instead of autoscaling.
        autoscaling_config: Ray Serve's own keys, over rayreward's defaults.
        ray_actor_options: num_cpus, num_gpus, resources, runtime_env, … of a replica.
        max_ongoing_requests: calls (batches) under way in one replica.
        max_batch_samples: what travels in one call at most. Where left out the router sizes calls by what they take
            to compute, from 256 samples of a dear reward to 2,048 of a trivial one; see `rayreward.router.sizing`.
        max_batch_bytes: the same in bytes. Above the default a call goes through Ray's object store, which costs more.
        max_batch_tokens: the same in tokens, as `Sample.token_count` has them; no limit where left out.
        prompt_affinity: all samples of a prompt (their `group_id`, else its text) go to one replica, whatever requests
            they come in: for rewards that reuse what they have computed of a prompt. A replica may then stand idle
            while samples wait for another. Where left out, reward models that may have several replicas do.
        hedge_after_s: a batch without an answer for so long is sent once more, and the first answer counts. It costs
            up to twice the work, on other replicas; off where left out.
        cache_entries: scores that the router keeps of a reward that declares itself deterministic and does not run
            inline; 0 keeps none, and scores even the same sample twice.
        cache_bytes: about how much memory they may take.
        group_size: of a prompt, for a group reward whose samples do not say.
        group_wait_s: how long a group's first sample waits for its last.
        candidate: another version beside this one, for a canary, a shadow or a promotion.
    """

    name: str
    isolation: Isolation | None = None
    in_router: bool = False
    timeout_s: float | None = pydantic.Field(default=None, gt=0)
    memory_bytes: int | None = pydantic.Field(default=None, gt=0)
    process_count: int = pydantic.Field(default=1, ge=1, le=256)
    num_replicas: int | None = pydantic.Field(default=None, ge=1)
    autoscaling_config: dict[str, Any] = pydantic.Field(default_factory=dict)
    ray_actor_options: dict[str, Any] = pydantic.Field(default_factory=dict)
    max_ongoing_requests: int = pydantic.Field(default=2, ge=1)
    max_batch_samples: int | None = pydantic.Field(default=None, ge=1)
    max_batch_bytes: int = pydantic.Field(default=DIRECT_MAX_BYTES, ge=1)
    max_batch_tokens: int | None = pydantic.Field(default=None, ge=1)
    prompt_affinity: bool | None = None
    hedge_after_s: float | None = pydantic.Field(default=None, gt=0)
    cache_entries: int = pydantic.Field(default=100_000, ge=0)
    cache_bytes: int = pydantic.Field(default=256 * 2**20, ge=0)
    group_size: int | None = pydantic.Field(default=None, ge=1)
    group_wait_s: float = pydantic.Field(default=30.0, gt=0, le=600)
    candidate: CandidateSpec | None = None

    @pydantic.field_validator("name")
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise ValueError("a reward's name is letters, digits, '_', '.', '-', and no path of the service's own")
        return name

    @pydantic.model_validator(mode="after")
    def _check_scaling(self) -> Self:
        if self.num_replicas is not None and self.autoscaling_config:
            raise ValueError("give num_replicas (fixed) or autoscaling_config, not both")
        has_replicas = self.num_replicas is not None or self.autoscaling_config or self.ray_actor_options
        if self.in_router and (has_replicas or self.isolation not in (None, "inline") or self.process_count > 1):
            raise ValueError(
                "in_router: the reward runs inline in the router, without replicas: leave out isolation, "
                "process_count, num_replicas, autoscaling_config and ray_actor_options, or in_router"
            )
        if self.in_router and self.prompt_affinity:
            raise ValueError(
                "in_router: the reward has no replicas for prompts to belong to: leave out prompt_affinity"
            )
        return self

    @property
    def keeps_prompts_together(self) -> bool:
        """Whether each prompt belongs to a replica."""
        if self.prompt_affinity is not None:
            return self.prompt_affinity
        return not self.in_router and self.num_replicas != 1 and self.has_model

    @property
    def is_scaled(self) -> bool:
        """Whether replicas come and go."""
        return self.num_replicas is None and not self.in_router

    @pydantic.model_validator(mode="after")
    def _check_candidate(self) -> Self:
        if self.candidate is None:
            return self
        try:
            other = self.candidate.over(self)
        except pydantic.ValidationError as error:
            mistakes = describe_mistakes(RewardSpec, error, "candidate")
            raise ValueError("; ".join(mistakes)) from None
        if other == self.model_copy(update={"candidate": None}):
            raise ValueError(
                "the candidate is the live version itself: give it an import_path, builtin, parts or args of its own, "
                "or leave it out"
            )
        return self

    @property
    def candidate_spec(self) -> RewardSpec | None:
        """The candidate's whole spec, with what it leaves out."""
        return None if self.candidate is None else self.candidate.over(self)

    @property
    def candidate_name(self) -> str:
        """Of the candidate's deployment."""
        return f"{self.name}.candidate"

    def check_loadable(self) -> None:
        """Refuse what cannot load, the candidate included; see `PartSpec.check_loadable`."""
        super().check_loadable()
        if self.candidate_spec is not None:
            self.candidate_spec.check_loadable()

    def with_absolute_paths(self) -> Self:
        """The same with files by their full path, the candidate's too."""
        spec = super().with_absolute_paths()
        if self.candidate is None:
            return spec
        return spec.model_copy(update={"candidate": self.candidate.with_absolute_paths()})

    def with_args(self, args: Mapping[str, Any]) -> Self:
        """The same with these arguments laid over its own.

        Raises:
            ValueError: a composite takes none.
        """
        return type(self).model_validate({**_given(self), "args": {**self.args, **args}})

    def build(self) -> RewardFunction:
        """The reward, with the deployment's own isolation and deadline."""
        reward = super().build()
        if self.isolation is not None:
            reward.isolation = self.isolation
        if self.in_router:
            reward.isolation = "inline"
        if self.timeout_s is not None:
            reward.timeout_s = self.timeout_s
        if self.memory_bytes is not None:
            reward.memory_bytes = self.memory_bytes
        return reward


def _given(spec: StrictModel) -> dict[str, Any]:
    return {name: getattr(spec, name) for name in spec.model_fields_set}


def _absolute(import_path: str | None) -> str | None:
    where, mark, name = (import_path or "").partition("::")
    return f"{Path(where).resolve()}{mark}{name}" if where.endswith(".py") else import_path


def load_reward(where: str, args: Mapping[str, Any] | None = None) -> RewardFunction:
    """A reward by its address or built-in name.

    Args:
        where: ``file.py::name``, ``package.module:name`` or the name of a built-in.
        args: what a class is made with, or a function is called with.

    Raises:
        ConfigError: the arguments do not fit, or the object is no reward.
        RewardLoadError: nothing is found there.

    Example:
        >>> load_reward("length", {"target": 3, "tolerance": 1})(response="just three words").score
        1.0
    """
    args = dict(args or {})
    if where not in BUILTINS and ":" not in where:
        raise ConfigError(
            f"{where!r} is no built-in reward and no address (my_rewards.py::name); {did_you_mean(where, BUILTINS)}"
        )
    target = BUILTINS[where] if where in BUILTINS else load_object(where)
    if isinstance(target, RewardFunction):
        if args:
            raise ConfigError(
                f"{where!r} is a reward that is made already; it takes no arguments, found {sorted(args)}"
            )
        return copy.copy(target)  # its file may be used under several names, deadlines and weights
    if isinstance(target, type) and not issubclass(target, RewardFunction):
        raise ConfigError(f"{where!r} is a class but no RewardFunction: subclass it and write compute_reward")
    try:
        return target(**args) if isinstance(target, type) else RewardFunction(func=target, **args)
    except TypeError as error:
        known = [name for name in inspect.signature(target).parameters if name not in ("args", "kwargs")]
        unknown = [name for name in args if name not in known]
        if isinstance(target, type) and unknown:
            raise ConfigError(f"{where!r} has no argument {unknown[0]!r}; {did_you_mean(unknown[0], known)}") from error
        raise ConfigError(f"{where!r} cannot be made with {args}: {error}") from error
