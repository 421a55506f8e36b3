"""From a spec to what Ray is asked to run.

What arrives: a spec, and the URLs of the reward that was bound to it. What leaves: a `RenderedJob`: command,
environment, metadata. What it promises: rendering reads nothing and starts nothing, and nothing secret is in the
result, which anybody on the cluster can read.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.cpu import build_cpu_env, fit_to_cpu
from rayreward.jobs.openrlhf.flags import render_flags
from rayreward.jobs.openrlhf.parser import ENTRYPOINT_MODULE, OpenRLHFParser
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec

RUN_PARAMETER = "run"
"""OpenRLHF sends no headers of ours, so the run travels in the reward's URL."""

SECRET_NAME = re.compile(r"(^|_)(TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$|PASSWORD", re.IGNORECASE)

SET_BY_OPENRLHF = frozenset({"TOKENIZERS_PARALLELISM", "NCCL_DEBUG", "RAY_ENABLE_ZERO_COPY_TORCH_TENSORS"})
"""train_ppo_ray hands these to ray.init; where the job has them too, even alike, Ray refuses to merge the two."""


@dataclass(frozen=True)
class RenderedJob:
    """One training, ready to be submitted.

    Attributes:
        name: the spec's name.
        run_id: names this run in the reward's URL and in the job's metadata.
        argv: the command, its interpreter first.
        env_vars: the environment of all processes of the job.
        reward_urls: where its samples are scored, run id included.
    """

    name: str
    run_id: str
    argv: tuple[str, ...]
    env_vars: dict[str, str]
    reward_urls: tuple[str, ...]

    @property
    def entrypoint(self) -> str:
        """The command as a shell reads it: Ray hands it to ``/bin/sh -c``."""
        return shlex.join(self.argv)

    @property
    def flags(self) -> tuple[str, ...]:
        """The command without interpreter and module."""
        return self.argv[self.argv.index(ENTRYPOINT_MODULE) + 1 :]

    @property
    def metadata(self) -> dict[str, str]:
        """What is stored with the job, to find it by."""
        return {"name": self.name, "run_id": self.run_id, "kind": "openrlhf"}


def render(
    spec: OpenRLHFSpec,
    *,
    reward_urls: Sequence[str],
    run_id: str,
    parser: OpenRLHFParser | None = None,
    python: str = sys.executable,
) -> RenderedJob:
    """What `spec` is on this platform, as a command and an environment.

    Args:
        spec: the training.
        reward_urls: see `bind_reward`.
        run_id: letters, digits, dots, dashes; sent with every sample.
        parser: the flags of the OpenRLHF that will run (`installed_parser()`); None skips that check.
        python: the interpreter on the nodes.

    Raises:
        ConfigError: a key that the platform cannot follow, a flag that OpenRLHF does not have, or a secret.
    """
    fitted = fit_to_cpu(spec) if spec.platform == "cpu" else spec
    env_vars = build_cpu_env(spec) if spec.platform == "cpu" else dict(spec.env_vars)
    urls = tuple(add_run_id(url, run_id) for url in reward_urls)
    flags = render_flags(fitted, reward_urls=urls)
    mistakes = [*check_env_vars(env_vars), *(parser.check(flags) if parser is not None else ())]
    if mistakes:
        raise ConfigError("\n".join(f"{spec.name}: {mistake}" for mistake in mistakes))
    # Unbuffered: a step's line has to be in the log when the step ends.
    argv = (python, "-u", "-m", ENTRYPOINT_MODULE, *flags)
    return RenderedJob(name=spec.name, run_id=run_id, argv=argv, env_vars=env_vars, reward_urls=urls)


def bind_reward(spec: OpenRLHFSpec, router_url: str | None) -> tuple[str, ...]:
    """The URLs that score this training: its own, or the route of its reward under the router.

    Example:
        >>> spec = OpenRLHFSpec.parse(
        ...     {"name": "a", "model": {"path": "./m"}, "data": {"prompts": "./p.jsonl"}, "reward": {"name": "tidy"}},
        ...     source="example",
        ... )
        >>> bind_reward(spec, "http://10.0.0.1:8000")
        ('http://10.0.0.1:8000/tidy/get_reward',)
    """
    if spec.reward.urls:
        return spec.reward.urls
    if router_url is None:
        wanted = f"reward {spec.reward.name!r}" if spec.reward.name else "the router's default reward"
        raise ConfigError(f"{spec.name}: {wanted} has no address yet: give the router's URL, or set reward.url")
    route = f"/{spec.reward.name}/get_reward" if spec.reward.name else "/get_reward"
    return (router_url.rstrip("/") + route,)


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
