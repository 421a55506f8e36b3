"""The processes of this process's own Ray cluster that a fault takes, by what they do."""

from __future__ import annotations

import contextlib

import psutil


def replicas(deployment: str, *, app: str = "rewards") -> list[psutil.Process]:
    """A deployment's replicas."""
    return _titled(f"ServeReplica:{app}:{deployment}")


def controller() -> psutil.Process:
    """Serve's controller; what it has started itself is younger."""
    return min(_titled("ServeController"), key=lambda process: float(process.create_time()))


def _titled(title: str) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            # A worker that has just been forked still has its parent's title; Ray's own begin with "ray::".
            if any(part.startswith(f"ray::{title}") for part in process.cmdline()):
                found.append(process)
    return found
