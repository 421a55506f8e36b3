"""What a reward service is configured with.

What arrives: a YAML file's content, or the arguments of a Ray Serve application. What leaves: a validated
`ServiceConfig`, or a `ConfigError` that names source, key and remedy.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import pydantic

from rayreward.environment import with_environment
from rayreward.errors import ConfigError, RewardLoadError
from rayreward.router.admission import AdmissionPolicy
from rayreward.spec import RewardSpec
from rayreward.strict import StrictModel, read_yaml


class OpenRLHFPolicy(StrictModel):
    """What OpenRLHF is answered for a sample without a score; see `rayreward.router.neutral`.

    Attributes:
        on_failure: "neutral" (the mean of the prompt's other samples), "drop" (a reward with NaN for `scores`, which
            makes dynamic filtering replace the group) or "fallback" (the number given).
        fallback: that number.
        sibling_wait_s: how long a failed sample waits for its siblings' scores.
        answer_within_s: no answer takes longer; OpenRLHF itself waits 180 s, and loses the run afterwards.
    """

    on_failure: Literal["neutral", "drop", "fallback"] = "neutral"
    fallback: float | None = pydantic.Field(default=None, allow_inf_nan=False)
    sibling_wait_s: float = pydantic.Field(default=5.0, ge=0, le=120)
    answer_within_s: float = pydantic.Field(default=150.0, gt=0, le=175)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        if (self.on_failure == "fallback") != (self.fallback is not None):
            raise ValueError("on_failure: fallback needs a number in 'fallback', and the others take none")
        return self


class Limits(StrictModel):
    """What one request may hold.

    Attributes:
        max_request_bytes: of a body; the whole body is held in memory.
        max_request_samples: in a body.
        request_timeout_s: for the native API, unless the request asks for less.
    """

    max_request_bytes: int = pydantic.Field(default=256 * 2**20, ge=1024)
    max_request_samples: int = pydantic.Field(default=65_536, ge=1)
    request_timeout_s: float = pydantic.Field(default=600.0, gt=0)


class ListenSpec(StrictModel):
    """The router's own HTTP port, beside Serve's proxy and several times cheaper; see `rayreward.serve.listener`.

    Attributes:
        host: where to listen on the router's node: 127.0.0.1 for that machine only, 0.0.0.0 for the cluster.
        port: a port that this service has for itself; 0 switches it off.
        request_within_s: how long a request's head, and then its body, may take to arrive; whoever is slower is sent
            away. The largest body that `Limits` lets in then needs 2 MB/s.
    """

    host: str = "127.0.0.1"
    port: int = pydantic.Field(default=8001, ge=0, le=65_535)
    request_within_s: float = pydantic.Field(default=120.0, gt=0)


class ServiceConfig(StrictModel):
    """A reward service: its rewards and how the router treats callers.

    Attributes:
        default_reward: what ``/get_reward`` scores by; the only reward, or the first.
        admission: how much may wait in the router.
        listen: the router's own port; without it requests come through Serve's proxy alone.
        log_dir: where the reward log is written; none where left out.
        token_sha256: of the bearer token that callers must send, as 64 hexadecimal digits. Only the hash travels.
        token_env: the environment variable that holds the token where the application is built.
    """

    rewards: list[RewardSpec]
    default_reward: str | None = None
    openrlhf: OpenRLHFPolicy = OpenRLHFPolicy()
    limits: Limits = Limits()
    admission: AdmissionPolicy = AdmissionPolicy()
    listen: ListenSpec | None = None
    log_dir: str | None = None
    token_sha256: str | None = pydantic.Field(default=None, pattern=r"^[0-9a-f]{64}$")
    token_env: str = "RAYREWARD_TOKEN"

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        names = [reward.name for reward in self.rewards]
        if not names:
            raise ValueError("rewards: at least one reward is needed")
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"rewards: {doubled[0]!r} is there twice; every reward needs a name of its own")
        taken = next(
            (spec.candidate_name for spec in self.rewards if spec.candidate and spec.candidate_name in names), None
        )
        if taken is not None:
            raise ValueError(
                f"rewards: {taken!r} is the name of a candidate's deployment; give that reward another one"
            )
        if self.default_reward is not None and self.default_reward not in names:
            raise ValueError(f"default_reward {self.default_reward!r} is none of {', '.join(names)}")
        return self

    @property
    def main_reward(self) -> str:
        """The reward behind ``/get_reward``."""
        return self.default_reward or self.rewards[0].name

    def with_token(self, environ: Mapping[str, str] | None = None) -> ServiceConfig:
        """The configuration with the hash of the token that the environment holds, where it holds one."""
        token = (os.environ if environ is None else environ).get(self.token_env)
        if self.token_sha256 is not None or not token:
            return self
        return self.model_copy(update={"token_sha256": hashlib.sha256(token.encode()).hexdigest()})

    def check_loadable(self, source: str) -> None:
        """Refuse rewards that cannot load, before anything starts.

        Raises:
            ConfigError: names `source`, the reward and what is missing.
        """
        for reward in self.rewards:
            try:
                reward.check_loadable()
            except (RewardLoadError, ConfigError) as error:
                raise ConfigError(f"{source}: reward {reward.name!r}: {error}") from None


def read_service_config(path: str | Path) -> ServiceConfig:
    """The service that a YAML file describes: plain ``rewards: […]``, or a Ray Serve config with it in its ``args``.

    Raises:
        ConfigError: names the file, the key and the nearest valid one.
    """
    data: Any = read_yaml(path)
    if isinstance(data, Mapping) and "applications" in data:
        applications = data["applications"] or [{}]
        if not isinstance(applications, list) or not isinstance(applications[0], Mapping):
            raise ConfigError(f"{path}: 'applications' must be a list of applications, as in any Ray Serve config")
        data = applications[0].get("args") or {}
    if not isinstance(data, Mapping):
        raise ConfigError(f"{path}: must be a mapping with 'rewards', found {type(data).__name__}")
    config = ServiceConfig.parse(with_environment(data, os.environ, source=str(path)), source=str(path))
    config.check_loadable(str(path))
    return config
