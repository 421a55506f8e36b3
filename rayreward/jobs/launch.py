"""The ways to launch a training: as a Ray job from anywhere, or right here on the cluster.

What arrives: a spec. What leaves: a Ray job that runs ``python -m rayreward.jobs run`` on the cluster, or, in that
job, the training itself. What it promises: whatever can be known beforehand is checked first (`preflight`); what can
only be known on the cluster is checked there, before a GPU is taken.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import secrets
import shlex
import sys
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx

from rayreward.client import HandleClient, HttpClient
from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.render import render_openrlhf
from rayreward.jobs.preflight import check_from_cluster, preflight, refuse_errors
from rayreward.jobs.preflight.cluster import Dashboard
from rayreward.jobs.render import RenderedJob
from rayreward.jobs.report import MARK
from rayreward.jobs.run import ReadStats, require_cluster, run_training
from rayreward.jobs.spec import JobSpec, parse_spec
from rayreward.jobs.start import CLUSTER_ADDRESS
from rayreward.jobs.submit import RayJobs
from rayreward.jobs.trl.render import render_trl
from rayreward.jobs.trl.spec import TrlSpec
from rayreward.router.runs import RunStats

STAGED_PLAN = "RAYREWARD_PLAN"
"""The variable in which a submitted job finds its plan."""

_MAX_PLAN_BYTES = 120_000
"""Linux takes 131,072 bytes a variable."""

_STATS_LIMIT_S = 5.0
"""For one question to the router: a log line must not wait longer."""

_STOP_WAIT_S = 30
"""For a stopped training to end before Ray kills it; Ray's own 3 s are less than OpenRLHF's actors need."""

_DASHBOARD_LIMIT_S = 10.0
"""For one question to a dashboard."""

_THIS_MACHINE = ("127.0.0.1", "localhost", "::1", "0.0.0.0")


@dataclass(frozen=True)
class Plan:
    """A spec with the job that it makes."""

    spec: JobSpec
    job: RenderedJob

    def to_json(self) -> str:
        """The plan as a text that `from_json` reads."""
        return json.dumps({"spec": self.spec.model_dump(mode="json"), "job": json.loads(self.job.to_json())})

    @classmethod
    def from_json(cls, text: str, *, source: str) -> Plan:
        """A plan that was written by `to_json`."""
        data: Mapping[str, Any] = json.loads(text)
        return cls(parse_spec(data["spec"], source=source), RenderedJob.from_json(json.dumps(data["job"])))


def make_plan(spec: JobSpec, *, service_url: str | None, run_id: str | None = None) -> Plan:
    """What will be run, checked against its trainer's own command line.

    Raises:
        ConfigError: what platform, version or command line cannot do.
    """
    run_id = run_id or new_run_id(spec.name)
    if isinstance(spec, TrlSpec):
        return Plan(spec, render_trl(spec, run_id=run_id, service_url=service_url))
    return Plan(spec, render_openrlhf(spec, run_id=run_id, service_url=service_url))


def new_run_id(name: str) -> str:
    """An id that no other run has, and that says when it began."""
    return f"{name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def submit(plan: Plan, jobs: RayJobs, *, is_elsewhere: bool = False, ray_address: str | None = None) -> str:
    """Submit a plan; returns the job's id, which is the run's.

    Args:
        plan: what to run.
        jobs: of the cluster.
        is_elsewhere: whether the cluster has Python somewhere else than this machine.
        ray_address: of the cluster, where several share a machine: Ray tells a job only that there is one.

    Raises:
        ConfigError: too much would have to travel with the job.
        ServiceUnavailableError: no dashboard answers.
        JobError: Ray refuses the job.
    """
    python = "python" if is_elsewhere else sys.executable  # elsewhere, whichever Ray was started with
    env_vars = {STAGED_PLAN: pack_plan(plan), "RAY_JOB_STOP_WAIT_TIME_S": str(_STOP_WAIT_S)}
    if ray_address is not None:
        env_vars[CLUSTER_ADDRESS] = ray_address
    return jobs.submit(
        shlex.join([python, "-u", "-m", "rayreward.jobs", "run"]),
        job_id=plan.job.run_id,
        metadata=plan.job.metadata,
        runtime_env={"env_vars": env_vars},
        gpus=plan.job.gpus,
    )


def pack_plan(plan: Plan) -> str:
    """The plan as the value of an environment variable.

    Some kilobytes: no folder has to be packed, uploaded and unpacked on a node before the job can say anything.

    Raises:
        ConfigError: its files are too large for that.
    """
    packed = base64.b64encode(zlib.compress(plan.to_json().encode())).decode()
    if len(packed) > _MAX_PLAN_BYTES:
        raise ConfigError(
            f"{plan.spec.name}: the files that travel with the job hold {len(packed):,} bytes, packed, and "
            f"{_MAX_PLAN_BYTES:,} are the most; give agent.environment a folder of its own, or install its package"
        )
    return packed


def staged_plan() -> Plan:
    """The plan that was submitted with the job that this process belongs to.

    Raises:
        ConfigError: it belongs to none.
    """
    packed = os.environ.pop(STAGED_PLAN, None)
    if packed is None:
        raise ConfigError("name a spec to run, as in: rayreward jobs run jobs/ppo.yaml")
    return Plan.from_json(zlib.decompress(base64.b64decode(packed)).decode(), source=STAGED_PLAN)


def is_on_this_machine(dashboard_url: str) -> bool:
    """Whether a node of the cluster is this machine, and so has its files and packages.

    The address alone does not tell: ``ray dashboard`` forwards a port of this machine to a cluster elsewhere.
    """
    import psutil

    with httpx.Client(timeout=_DASHBOARD_LIMIT_S, trust_env=False) as http:
        nodes = Dashboard(dashboard_url, http).read_nodes()
    if nodes is None:
        return urlsplit(dashboard_url).hostname in _THIS_MACHINE
    own = {address.address for addresses in psutil.net_if_addrs().values() for address in addresses}
    return any(node.ip in own for node in nodes)


def run_plan(plan: Plan, *, is_checked: bool = False) -> int:
    """Run a plan in this process, which stands on the cluster; returns the training's exit code.

    Args:
        plan: what to run.
        is_checked: whether `preflight` has passed already; what only the cluster knows is checked in any case.

    Raises:
        ConfigError: a check failed; nothing was started.
    """
    dashboard_url = require_cluster()
    plan = replace(plan, job=replace(plan.job, argv=(sys.executable, *plan.job.argv[1:])))
    warnings = [] if is_checked else preflight(plan.spec, plan.job, dashboard_url=dashboard_url)
    warnings += refuse_errors(plan.spec.name, check_from_cluster(plan.spec, plan.job))
    for warning in warnings:
        sys.stderr.write(f"{MARK} {warning}\n")
    return asyncio.run(run_training(plan.spec, plan.job, read_stats=stats_reader(plan)))


def stats_reader(plan: Plan) -> ReadStats | None:
    """How the router is asked about the run; None where the reward is not a router's."""
    spec, job = plan.spec, plan.job
    if spec.transport == "http" and job.service_url is None:
        return None
    client = HttpClient(job.service_url) if job.service_url is not None else None
    found: list[HandleClient] = []

    async def read() -> RunStats:
        if client is not None:
            return await asyncio.wait_for(client.arun_stats(job.run_id), _STATS_LIMIT_S)
        if not found:
            found.append(await asyncio.to_thread(HandleClient, spec.reward.app))
        return await asyncio.wait_for(found[0].arun_stats(job.run_id), _STATS_LIMIT_S)

    return read
