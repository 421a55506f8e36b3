"""Who runs, as Serve tells this process.

What arrives: ids of replicas, from the request routers that Serve makes for this process's handles. What leaves: the
same, to whoever chooses among them: sooner than from Serve's controller, and for no call.

A module of its own, and state of the process: Serve makes the request routers itself, on a thread of its own, of a
class whose whole module it has pickled by value. What that module holds is not what others import.
"""

from __future__ import annotations

from collections.abc import Iterable

_running: dict[tuple[str, str], tuple[str, ...]] = {}
"""Ids by application and deployment."""


def note_running(app: str, deployment: str, replicas: Iterable[str]) -> None:
    """These run from now on."""
    _running[app, deployment] = tuple(replicas)


def running_replicas(app: str, deployment: str) -> tuple[str, ...]:
    """Who runs; nobody before this process has first called the deployment."""
    return _running.get((app, deployment), ())


def this_replica() -> str:
    """The id of the replica that this process is, as its callers name it; empty outside of one."""
    from ray import serve
    from ray.serve.exceptions import RayServeException

    try:
        return str(serve.get_replica_context().replica_tag)
    except RayServeException:
        return ""
