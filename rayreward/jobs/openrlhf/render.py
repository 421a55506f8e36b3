"""From an OpenRLHF spec to the job that runs it: flags of its version, reward bound, files to upload.

What arrives: a spec with absolute paths. What leaves: a `RenderedJob`. What it promises: the flags are those of the
OpenRLHF that will run, and the files are small: an executor of a few lines that imports this package, and the author's
own environment.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from rayreward.agents.binding import Binding
from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.cpu import SUPPORTED_OPENRLHF, build_cpu_env, fit_to_cpu
from rayreward.jobs.openrlhf.flags import render_flags
from rayreward.jobs.openrlhf.parser import ENTRYPOINT_MODULE, installed_version, parser_of
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.render import RenderedJob, bind_urls, build_job

UPLOADED = {"handle": "single_turn.py", "agent": "multi_turn.py", "reward_func": "reward_func.py"}
"""What OpenRLHF is told to load, by transport: files of `rayreward.agents.uploads`."""

_MAX_UPLOAD_BYTES = 2 * 2**20
"""Of an environment's folder: more is data, which belongs onto a disk that all nodes see."""


def render_openrlhf(spec: OpenRLHFSpec, *, run_id: str, service_url: str | None = None) -> RenderedJob:
    """What `spec` is on its platform and for its version, as a command, an environment and files.

    Args:
        spec: the training.
        run_id: letters, digits, dots, dashes; sent with every sample.
        service_url: the router's root, for `transport: http` without a URL of its own.

    Raises:
        ConfigError: a key that platform or version cannot follow, a flag that does not exist, or a secret.
    """
    fitted = fit_to_cpu(spec) if spec.platform == "cpu" else spec
    env_vars = build_cpu_env(spec) if spec.platform == "cpu" else dict(spec.env_vars)
    version = target_version(spec)
    urls = bind_urls(spec.name, spec.reward, service_url, run_id) if spec.transport == "http" else ()
    uploads = {}
    if spec.transport != "http":
        env_vars |= bind(spec, run_id).to_env()
        uploads = read_uploads(spec)
    loaded = UPLOADED.get(spec.transport)
    is_function = spec.transport == "reward_func"
    flags = render_flags(
        fitted,
        reward_urls=(f"./{loaded}",) if is_function else urls,
        agent_path=None if is_function or loaded is None else f"./{loaded}",
        version=version,
    )
    if mistakes := parser_of(version).check(flags):
        raise ConfigError("\n".join(f"{spec.name}: {mistake}" for mistake in mistakes))
    return build_job(
        spec.name,
        ENTRYPOINT_MODULE,
        flags,
        env_vars=env_vars,
        run_id=run_id,
        uploads=uploads,
        reward_urls=urls,
        service_url=None if spec.reward.urls else service_url,
    )


def target_version(spec: OpenRLHFSpec) -> str:
    """The OpenRLHF that will run: as the spec says, else the one installed here, else the one that we test with."""
    return spec.openrlhf_version or installed_version() or SUPPORTED_OPENRLHF


def bind(spec: OpenRLHFSpec, run_id: str) -> Binding:
    """What the uploaded file finds in its environment."""
    reward = {"app": spec.reward.app, "reward": spec.reward.name, "run": run_id, "wait_s": spec.reward.wait_s}
    if spec.agent is None:
        return Binding.parse(reward, source=spec.name)
    agent = spec.agent.model_dump()
    path, mark, name = spec.agent.environment.partition("::")
    agent["environment"] = f"./{Path(path).name}::{name}" if mark else path
    agent["max_turn_tokens"] = spec.agent.max_turn_tokens or spec.rollout.max_new_tokens
    return Binding.parse(reward | agent, source=spec.name)


def read_uploads(spec: OpenRLHFSpec) -> dict[str, str]:
    """The files of the job's working directory: our executor, and the environment's folder's Python files."""
    loaded = UPLOADED[spec.transport]
    uploads = {loaded: (files("rayreward.agents.uploads") / loaded).read_text(encoding="utf-8")}
    path, mark, _ = spec.agent.environment.partition("::") if spec.agent is not None else ("", "", "")
    if not mark:
        return uploads
    if not Path(path).is_file():
        raise ConfigError(f"{spec.name}: agent.environment: {path} does not exist; it is file.py::Name")
    own = {beside.name: beside.read_text(encoding="utf-8") for beside in sorted(Path(path).parent.glob("*.py"))}
    size_bytes = sum(len(text) for text in own.values())
    if size_bytes > _MAX_UPLOAD_BYTES:
        raise ConfigError(
            f"{spec.name}: agent.environment: the Python files beside {path} hold {size_bytes:,} bytes, and "
            f"{_MAX_UPLOAD_BYTES:,} are uploaded at most; give the environment a folder of its own"
        )
    if clash := own.keys() & uploads.keys():
        raise ConfigError(f"{spec.name}: agent.environment: {clash.pop()} is a name of ours; rename that file")
    return uploads | own
