"""Which Serve application of a Ray cluster holds the rewards.

What arrives: the cluster's applications with their deployments. What leaves: a name. ``serve run`` calls its
application "default" unless told otherwise, `rayreward serve` calls it "rewards", and ``.deploy()`` makes one for each
function; so nobody has to know the name where only one can be meant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from rayreward.errors import ServiceUnavailableError, did_you_mean

AUTO = "auto"
"""In place of a name: the application that can be meant."""

ROUTER = "router"
"""The deployment that every application of ours has, and that is no reward."""

_USUAL = ("rewards", "default")

Applications = Mapping[str, Collection[str]]
"""Deployments by application."""


def choose_application(wanted: str, applications: Applications, *, reward: str | None = None) -> str:
    """The application's name: the one wanted, or, for "auto", the one that can be meant.

    Args:
        wanted: a name, or "auto".
        applications: of the cluster.
        reward: that it must have, where several are there.

    Raises:
        ServiceUnavailableError: none runs, it has another name, or several could be meant.

    Example:
        >>> choose_application("auto", {"other": ["ingress"], "default": ["router", "math"]})
        'default'
    """
    ours = {name: deployments for name, deployments in applications.items() if ROUTER in deployments}
    if wanted != AUTO:
        if wanted in ours:
            return wanted
        what = "is none of rayreward's" if wanted in applications else "does not run in this Ray cluster"
        raise ServiceUnavailableError(
            f"the Serve application {wanted!r} {what}; start one with: serve run deployments/, or name the one that "
            f"runs: {did_you_mean(wanted, ours)}"
        )
    if not ours:
        raise ServiceUnavailableError(
            "no application of rewards runs in this Ray cluster; start one with: serve run deployments/"
        )
    having = [name for name, deployments in ours.items() if reward is not None and reward in deployments]
    usual = [name for name in _USUAL if name in ours]
    for candidates in (having, usual[:1], list(ours)):
        if len(candidates) == 1:
            return candidates[0]
    raise ServiceUnavailableError(
        f"several applications of rewards run in this Ray cluster: name one of {', '.join(sorted(ours))} (app)"
    )
