"""Whether the Serve application that a training asks through Ray is there, complete and healthy.

What arrives: Serve's own description of itself, from the dashboard. What leaves: findings. Whether it scores well is
asked from inside the cluster, where its handles work (`cluster_side`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rayreward.client.applications import ROUTER, choose_application
from rayreward.errors import ServiceUnavailableError, did_you_mean
from rayreward.jobs.preflight.cluster import Node
from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.sections import RewardBinding


def check_application(reward: RewardBinding, serve: Mapping[str, Any], nodes: Sequence[Node]) -> Iterator[Finding]:
    """Whether the bound application runs and has the bound reward."""
    applications = serve.get("applications") or {}
    known = {name: list(found.get("deployments") or {}) for name, found in applications.items()}
    try:
        app = choose_application(reward.app, known, reward=reward.name)
    except ServiceUnavailableError as error:
        found, _, remedy = str(error).partition("; ")
        yield Finding("reward", found, remedy or "set reward.app")
        return
    deployments = applications[app].get("deployments") or {}
    yield from _check_name(app, reward, deployments)
    yield from _check_state(app, reward, applications[app], deployments)
    yield from _check_needs(deployments, nodes)


def _check_name(app: str, reward: RewardBinding, deployments: Mapping[str, Any]) -> Iterator[Finding]:
    if reward.name is not None and reward.name not in deployments.keys() - {ROUTER}:
        found = f"Serve application {app!r} has no reward {reward.name!r}"
        yield Finding(
            "reward", found, f"correct reward.name; {did_you_mean(reward.name, deployments.keys() - {ROUTER})}"
        )


def _check_state(
    app: str, reward: RewardBinding, application: Mapping[str, Any], deployments: Mapping[str, Any]
) -> Iterator[Finding]:
    status = application.get("status")
    if status != "RUNNING":
        message = f": {application['message'][:200]}" if application.get("message") else ""
        found = f"Serve application {app!r} is {status}{message}"
        yield Finding("reward", found, "wait until it is RUNNING, or see why: serve status")
        return
    asked = {ROUTER, reward.name} if reward.name is not None else deployments.keys()
    for name in sorted(deployments.keys() & asked):
        state = deployments[name]
        if state.get("status") not in ("HEALTHY", "UPSCALING", "DOWNSCALING"):
            found = f"deployment {name!r} is {state.get('status')}: {str(state.get('message', ''))[:200]}"
            yield Finding("reward", found, "wait until it is HEALTHY, or see why: serve status")


def _check_needs(deployments: Mapping[str, Any], nodes: Sequence[Node]) -> Iterator[Finding]:
    """Whether some node has the kinds of resources that a replica asks for; it waits for ever otherwise."""
    known = {name for node in nodes for name in node.total}
    for name, deployment in sorted(deployments.items()):
        needs = deployment.get("required_resources") or {}
        for missing in sorted(kind for kind, amount in needs.items() if amount and nodes and kind not in known):
            found = f"a replica of {name!r} needs {needs[missing]:g} {missing}, and no node has any"
            yield Finding("cluster", found, "start a node that has some, or correct the reward's ray_actor_options")
