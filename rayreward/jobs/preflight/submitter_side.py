"""Every check that the submitter's machine can make: of the spec, of files, of the reward's URL, of the dashboard.

What arrives: a spec, the job rendered from it, and the cluster's dashboard. What leaves: warnings, or one
`ConfigError` with every error. What needs the cluster from inside is `cluster_side`.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.preflight.agent import check_agent
from rayreward.jobs.preflight.application import check_application
from rayreward.jobs.preflight.batches import check_batches, check_supply
from rayreward.jobs.preflight.cluster import Dashboard, check_loopback
from rayreward.jobs.preflight.environment import check_environment
from rayreward.jobs.preflight.findings import Finding, refuse_errors
from rayreward.jobs.preflight.folders import check_folders, check_resume, check_space
from rayreward.jobs.preflight.model import check_critic, check_model, check_model_fits
from rayreward.jobs.preflight.placement import check_placement, check_room, check_tensor_parallel, plan_resources
from rayreward.jobs.preflight.probes import PROBE_TIMEOUT_S, build_probes
from rayreward.jobs.preflight.prompts import check_hub_prompts, check_prompts, count_prompts
from rayreward.jobs.preflight.raw_flags import check_raw_flags
from rayreward.jobs.preflight.reward import UNREACHABLE, check_url
from rayreward.jobs.preflight.templates import check_chat_template, check_input_template
from rayreward.jobs.preflight.trl import check_one_node, check_trl, check_trl_supply
from rayreward.jobs.preflight.versions import check_openrlhf, check_ray, check_stack, read_versions
from rayreward.jobs.render import RenderedJob
from rayreward.jobs.spec import JobSpec
from rayreward.jobs.trl.spec import TrlSpec


def preflight(
    spec: JobSpec,
    job: RenderedJob,
    *,
    dashboard_url: str | None = None,
    is_elsewhere: bool = False,
    transport: httpx.BaseTransport | None = None,
) -> list[Finding]:
    """Check everything that can be known before the job is submitted; returns the warnings.

    Args:
        spec: the training, its paths absolute.
        job: the command, the environment and the reward's URLs.
        dashboard_url: of the cluster; without one nothing is asked of it.
        is_elsewhere: whether the cluster shares neither files nor packages with this machine: what concerns them is
            then left to `check_from_cluster`, and a reward that cannot be reached from here is a warning.
        transport: carries all HTTP requests, for tests.

    Raises:
        ConfigError: everything that was found, one line each. Nothing was started and nothing was written.
    """
    findings = [*check_plan(spec), *check_environment(job), *check_hub_prompts(spec)]
    if isinstance(spec, OpenRLHFSpec):
        findings += check_agent(spec)
    if not is_elsewhere:
        findings += [*check_packages(spec), *check_files(spec)]
    # Without proxies of the environment: OpenRLHF's own client knows none either.
    with httpx.Client(timeout=PROBE_TIMEOUT_S, trust_env=False, transport=transport) as http:
        findings += _check_urls(spec, job, http, is_elsewhere=is_elsewhere)
        if dashboard_url is not None:
            findings += _check_cluster(spec, job, Dashboard(dashboard_url, http), is_elsewhere=is_elsewhere)
    return refuse_errors(spec.name, findings)


def check_plan(spec: JobSpec) -> Iterator[Finding]:
    """What the spec alone shows."""
    if isinstance(spec, OpenRLHFSpec):
        yield from check_batches(spec)
        yield from check_placement(spec)
        yield from check_raw_flags(spec)
        yield from check_input_template(spec)


def check_packages(spec: JobSpec) -> Iterator[Finding]:
    """What is installed here, where the job will run with it."""
    installed = read_versions()
    if isinstance(spec, OpenRLHFSpec):
        yield from check_openrlhf(spec, installed)
        yield from check_stack(installed, needs_vllm=spec.openrlhf_version in (None, installed.get("openrlhf")))
    else:
        yield from check_trl(installed)
        yield from check_stack(installed, needs_vllm=spec.rollout.vllm != "off")


def check_files(spec: JobSpec) -> Iterator[Finding]:
    """What the training reads and writes, seen from this machine or node."""
    yield from check_model(spec)
    yield from check_chat_template(spec)
    in_prompts = list(check_prompts(spec))
    yield from in_prompts
    yield from check_folders(spec)
    are_whole = all(finding.is_warning for finding in in_prompts)
    if are_whole and (count := count_prompts(spec)) is not None:
        yield from check_supply(spec, count) if isinstance(spec, OpenRLHFSpec) else check_trl_supply(spec, count)
    if isinstance(spec, OpenRLHFSpec):
        yield from check_critic(spec)
        yield from check_model_fits(spec)
        yield from check_space(spec)
        yield from check_resume(spec)


def _check_urls(spec: JobSpec, job: RenderedJob, http: httpx.Client, *, is_elsewhere: bool) -> Iterator[Finding]:
    probes = build_probes(spec) if job.reward_urls else []
    for url in job.reward_urls:
        for finding in check_url(url, spec, probes, http):
            is_unknown = is_elsewhere and UNREACHABLE in finding.found
            yield finding.as_warning() if is_unknown else finding


def _check_cluster(spec: JobSpec, job: RenderedJob, dashboard: Dashboard, *, is_elsewhere: bool) -> Iterator[Finding]:
    nodes = dashboard.read_nodes()
    if nodes is None:
        found = f"no dashboard answers at {dashboard.url}, and nothing of the cluster was checked"
        yield Finding("cluster", found, "start one (ray start --head), or give its address", is_warning=True)
        return
    serve = dashboard.read_serve()
    yield from check_ray(read_versions(), dashboard.read_ray_version(), is_elsewhere=is_elsewhere)
    yield from check_loopback(job.reward_urls, nodes, serve)
    is_autoscaled = isinstance(spec, OpenRLHFSpec) and spec.resources.autoscaled
    if spec.transport != "http" and not is_scored_by_itself(spec) and serve is not None:
        yield from check_application(spec.reward, serve, [] if is_autoscaled else nodes)
    if isinstance(spec, OpenRLHFSpec) and not is_autoscaled:
        yield from check_room(plan_resources(spec), nodes)
        yield from check_tensor_parallel(spec, nodes)
    elif isinstance(spec, TrlSpec):
        yield from check_one_node(spec, nodes)


def is_scored_by_itself(spec: JobSpec) -> bool:
    """Whether an agent's environment gives all rewards, so that no service is asked."""
    return isinstance(spec, OpenRLHFSpec) and spec.agent is not None and spec.agent.rewards == "environment"
