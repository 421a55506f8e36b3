"""From a spec to what a job runs.

What arrives: a spec, a run id, and the router's URL where rewards go over HTTP. What leaves: a `RenderedJob`: command,
environment, the files that travel along. What it promises: rendering starts nothing and writes nothing, and nothing
secret is in the result, which anybody on the cluster can read.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from rayreward.errors import ConfigError
from rayreward.jobs.sections import RewardBinding

RUN_PARAMETER = "run"
"""OpenRLHF sends no headers of ours, so the run travels in the reward's URL."""

SECRET_NAME = re.compile(r"(^|_)(TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$|PASSWORD", re.IGNORECASE)

SET_BY_OPENRLHF = frozenset({"TOKENIZERS_PARALLELISM", "NCCL_DEBUG", "RAY_ENABLE_ZERO_COPY_TORCH_TENSORS"})
"""train_ppo_ray hands these to ray.init; where the job has them too, even alike, Ray refuses to merge the two."""


@dataclass(frozen=True)
class RenderedJob:
    """One training, ready to be run.

    Attributes:
        name: the spec's name.
        run_id: names this run in every request for a reward and in the job's metadata.
        kind: the trainer.
        argv: the command, its interpreter first.
        env_vars: the environment of all processes of the training.
        uploads: files by name that its working directory holds.
        reward_urls: where its samples are scored over HTTP, run id included; empty for the other transports.
        service_url: the router's root; None where an explicit URL, or Ray, leads to the reward.
        gpus: that the command's own process takes, besides what it asks Ray for.
    """

    name: str
    run_id: str
    argv: tuple[str, ...]
    env_vars: dict[str, str]
    kind: str = "openrlhf"
    uploads: dict[str, str] = field(default_factory=dict)
    reward_urls: tuple[str, ...] = ()
    service_url: str | None = None
    gpus: float = 0.0

    @property
    def entrypoint(self) -> str:
        """The command as a shell reads it."""
        return shlex.join(self.argv)

    @property
    def flags(self) -> tuple[str, ...]:
        """The command without interpreter and module."""
        return self.argv[self.argv.index("-m") + 2 :]

    @property
    def module(self) -> str:
        """What the interpreter runs."""
        return self.argv[self.argv.index("-m") + 1]

    @property
    def metadata(self) -> dict[str, str]:
        """What is stored with the job, to find it by."""
        known = {"name": self.name, "run_id": self.run_id, "kind": self.kind, "service_url": self.service_url}
        return {key: value for key, value in known.items() if value is not None}

    def to_json(self) -> str:
        """The job as a text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """A job that was written by `to_json`."""
        data: dict[str, Any] = json.loads(text)
        return cls(**{**data, "argv": tuple(data["argv"]), "reward_urls": tuple(data["reward_urls"])})


def build_job(
    name: str, module: str, flags: Sequence[str], *, env_vars: dict[str, str], run_id: str, **fields: Any
) -> RenderedJob:
    """The job that runs `module` with `flags`.

    Raises:
        ConfigError: a variable that may not be in a job's environment.
    """
    mistakes = check_env_vars(env_vars)
    if mistakes:
        raise ConfigError("\n".join(f"{name}: {mistake}" for mistake in mistakes))
    # Unbuffered: a step's line has to be in the log when the step ends.
    argv = (sys.executable, "-u", "-m", module, *flags)
    return RenderedJob(name=name, run_id=run_id, argv=argv, env_vars=env_vars, **fields)


def bind_urls(name: str, reward: RewardBinding, router_url: str | None, run_id: str) -> tuple[str, ...]:
    """The URLs that score a training over HTTP: its own, or the route of its reward under the router.

    Example:
        >>> bind_urls("a", RewardBinding(name="tidy"), "http://10.0.0.1:8000", "a-1")
        ('http://10.0.0.1:8000/tidy/get_reward?run=a-1',)
    """
    urls = reward.urls
    if not urls:
        if router_url is None:
            wanted = f"reward {reward.name!r}" if reward.name else "the router's default reward"
            raise ConfigError(f"{name}: {wanted} has no address yet: give the router's URL, or set reward.url")
        route = f"/{reward.name}/get_reward" if reward.name else "/get_reward"
        urls = (router_url.rstrip("/") + route,)
    return tuple(add_run_id(url, run_id) for url in urls)


def add_run_id(url: str, run_id: str) -> str:
    """The URL with ``?run=<id>``, in place of a run that it had."""
    parts = urlsplit(url)
    query = [(key, value) for key, value in parse_qsl(parts.query) if key != RUN_PARAMETER]
    return urlunsplit(parts._replace(query=urlencode([*query, (RUN_PARAMETER, run_id)])))


def check_env_vars(names: Iterable[str]) -> list[str]:
    """What may not stand in a job's environment, one message a name."""
    mistakes = [
        f"env_vars: {name} looks like a secret, and a job's environment can be read back by everybody on the "
        "cluster; set it on the nodes instead"
        for name in names
        if SECRET_NAME.search(name)
    ]
    mistakes += [
        f"env_vars: {name} is set by OpenRLHF itself and Ray refuses to start a job that sets it too; remove it here"
        for name in names
        if name in SET_BY_OPENRLHF
    ]
    return mistakes
