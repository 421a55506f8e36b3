"""The checks that only the cluster itself can make, from the nodes where samples will be generated.

What arrives: a spec and its job, inside the job's own process, connected to Ray. What leaves: findings that name their
nodes. What it promises: one task without a CPU or GPU on each of at most `MOST_NODES` nodes, nothing else; an answer
after `NODE_LIMIT_S`, also from a cluster that hangs.

Rollout actors ask for rewards from their own nodes, with those nodes' packages and files. What works on the head, or on
the laptop that submitted the job, says little about them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.preflight.agent import check_agent_package
from rayreward.jobs.preflight.cluster import Node, rollout_nodes
from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.probes import (
    PREFLIGHT_RUN,
    PROBE_TIMEOUT_S,
    Probe,
    Verdict,
    ask_warm,
    build_probes,
    judge,
)
from rayreward.jobs.preflight.reward import check_url
from rayreward.jobs.preflight.submitter_side import check_files, is_scored_by_itself
from rayreward.jobs.preflight.versions import check_same, read_versions
from rayreward.jobs.render import RenderedJob
from rayreward.jobs.spec import JobSpec

MOST_NODES = 8
"""Nodes that are tried: they are usually alike, and each costs a process."""

NODE_LIMIT_S = 60.0
"""For a node to start a process, import this package and try the reward; twice what a reward may take."""

Look = Callable[..., list[Finding]]


@dataclass(frozen=True)
class Errand:
    """What a node is asked to look at."""

    spec: JobSpec
    urls: tuple[str, ...]
    probes: tuple[Probe, ...]
    driver_versions: Mapping[str, str]


def check_from_cluster(spec: JobSpec, job: RenderedJob) -> list[Finding]:
    """What the nodes where rollouts will run find wrong with files, packages and reward.

    Ray must be connected. The findings are errors and warnings; `refuse_errors` tells them apart.
    """
    errand = Errand(spec, job.reward_urls, tuple(build_probes(spec)), read_versions())
    return ask_nodes(list_nodes(spec)[:MOST_NODES], look_around, errand, limit_s=NODE_LIMIT_S)


def list_nodes(spec: JobSpec) -> list[Node]:
    """The nodes where samples will be generated; TRL's training is all on the node that its job was given."""
    import ray

    nodes = [
        Node(entry["NodeID"], entry["NodeManagerAddress"], entry["Resources"], entry["Resources"])
        for entry in ray.nodes()
        if entry["Alive"]
    ]
    if isinstance(spec, OpenRLHFSpec):
        return rollout_nodes(nodes)
    own = ray.get_runtime_context().get_node_id()
    return [node for node in nodes if node.node_id == own]


def ask_nodes(nodes: Sequence[Node], look: Look, errand: Errand, *, limit_s: float) -> list[Finding]:
    """What `look` finds on each node; a node that does not answer in time is a finding itself."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(look)
    refs = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False)).remote(errand): node
        for node in nodes
    }
    done, late = ray.wait(list(refs), num_returns=len(refs), timeout=limit_s) if refs else ([], [])
    found = [(refs[ref].ip, finding) for ref in done for finding in _read(ref)]
    for ref in late:
        ray.cancel(ref, force=True)
        remedy = "see what keeps it busy: ray status, ray list tasks"
        found.append((refs[ref].ip, Finding("cluster", f"no answer within {limit_s:g} s", remedy)))
    return list(_gather(found, len(nodes)))


def _read(ref: Any) -> list[Finding]:
    import ray
    from ray.exceptions import RayError

    try:
        findings: list[Finding] = ray.get(ref)
    except (RayError, ImportError) as error:  # the node cannot start the task, or lacks this package
        reason = str(error).strip().splitlines()[-1][:200]
        remedy = "install rayreward on every node, in the environment that Ray was started with"
        return [Finding("cluster", f"nothing can be run there: {type(error).__name__} {reason}", remedy)]
    return findings


def _gather(found: Iterable[tuple[str, Finding]], node_count: int) -> Iterator[Finding]:
    """One finding where several nodes found the same."""
    nodes_of: dict[Finding, list[str]] = {}
    for ip, finding in found:
        nodes_of.setdefault(finding, []).append(ip)
    for finding, ips in nodes_of.items():
        where = f"on all {node_count} nodes" if len(ips) == node_count > 1 else f"on {', '.join(ips)}"
        yield replace(finding, found=f"{where}: {finding.found}")


def look_around(errand: Errand) -> list[Finding]:
    """What a node finds; runs there as a Ray task."""
    spec = errand.spec
    names = ("rayreward", "openrlhf" if isinstance(spec, OpenRLHFSpec) else "trl")
    findings = [*check_same(read_versions(), errand.driver_versions, names), *check_files(spec)]
    if isinstance(spec, OpenRLHFSpec):
        findings += check_agent_package(spec)
    if spec.transport == "http":
        with httpx.Client(timeout=PROBE_TIMEOUT_S, trust_env=False) as http:
            for url in errand.urls:
                findings += check_url(url, spec, errand.probes, http)
    elif not is_scored_by_itself(spec):
        findings += check_handle(spec, errand.probes)
    return findings


def check_handle(spec: JobSpec, probes: Sequence[Probe]) -> Iterator[Finding]:
    """Whether the router that is reached through Ray scores the probes."""
    from rayreward.client.handle import HandleClient

    who = f"reward {spec.reward.name or '(the main one)'} of application {spec.reward.app!r}"
    samples = [probe.as_sample for probe in probes]

    def ask() -> list[Verdict]:
        started_s = time.monotonic()
        outputs = client.score(samples, reward=spec.reward.name, run=PREFLIGHT_RUN)
        elapsed_s = time.monotonic() - started_s
        return [Verdict(one.score, str(one.failure) if one.failure else None, elapsed_s) for one in outputs]

    try:
        with HandleClient(spec.reward.app, timeout_s=PROBE_TIMEOUT_S) as client:
            verdicts = ask_warm(ask)
    except Exception as error:  # noqa: BLE001 - the boundary: Ray wraps whatever the router raised in types of its own
        reason = next((line for line in str(error).strip().splitlines()[::-1] if line), "")[:200]
        yield Finding("reward", f"{who} cannot be asked: {reason}", "start it: serve run deployments/")
        return
    yield from judge(who, probes, verdicts, spec.reward.clip_range)
