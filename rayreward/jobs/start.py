"""Starts a trainer with its environment: ``python -m rayreward.jobs.start <module> <flags…>``.

What arrives: a module, its flags, and the runtime environment as JSON in RAYREWARD_RUNTIME_ENV. What leaves: that
module, run as if it had been called itself, on a Ray connection that every actor it starts inherits. OpenRLHF connects
to Ray with an environment of its own unless somebody has done so before, and has no flag for the files that a run
uploads.
"""

from __future__ import annotations

import json
import logging
import os
import runpy
import sys

RUNTIME_ENV = "RAYREWARD_RUNTIME_ENV"

CLUSTER_ADDRESS = "RAYREWARD_RAY_ADDRESS"
"""The cluster that a job belongs to, where its submitter has said so; else the one that Ray finds."""


def cluster_address() -> str:
    """What to connect to. Ray's own variable would win over an argument, and names any cluster of the machine."""
    address = os.environ.get(CLUSTER_ADDRESS)
    if address is None:
        return "auto"
    os.environ["RAY_ADDRESS"] = address
    return address


def main() -> None:
    """Connect to Ray and become the module."""
    import ray

    runtime_env = json.loads(os.environ.pop(RUNTIME_ENV))
    # The job that this runs in may have uploaded a working directory too: the training's own counts.
    os.environ["RAY_OVERRIDE_JOB_RUNTIME_ENV"] = "1"
    ray.init(address=cluster_address(), runtime_env=runtime_env, logging_level=logging.WARNING)
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
