"""The processes of this process's own Ray cluster that a fault takes, by what they do.

By what Ray says of its actors, not by the titles of processes: once, in a whole run of the tests, none was found.
"""

from __future__ import annotations

import contextlib
from typing import Any

import psutil


def replicas(deployment: str, *, app: str = "rewards") -> list[psutil.Process]:
    """A deployment's replicas, oldest process first."""
    return _actors(f"SERVE_REPLICA::{app}#{deployment}#")


def controller() -> psutil.Process:
    """Serve's controller."""
    [found] = _actors("SERVE_CONTROLLER_ACTOR")
    return found


def _actors(name: str) -> list[psutil.Process]:
    from ray._private.state import actors

    listed: dict[str, dict[str, Any]] = actors()
    found = []
    for actor in listed.values():
        if actor["State"] == "ALIVE" and actor["Name"].startswith(name):
            with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended, and Ray does not know yet
                found.append(psutil.Process(actor["Pid"]))
    return sorted(found, key=lambda process: process.pid)
