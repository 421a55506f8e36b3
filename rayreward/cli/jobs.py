"""``rayreward jobs``: submit a training, follow it, ask after it, stop it.

What arrives: the options of the command line. What leaves: job ids, states, logs and commands on stdout, the course of
a training on stderr, and the exit code of a training that was followed to its end. What a training is, how it is
checked and run: `rayreward.jobs`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from rayreward.cli.output import OK, error_console, say, write_json
from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.parser import installed_parser
from rayreward.jobs.openrlhf.progress import StepMetrics, parse_step, planned_steps
from rayreward.jobs.preflight import preflight
from rayreward.jobs.render import RenderedJob, bind_reward, render
from rayreward.jobs.spec import load_spec
from rayreward.jobs.submit import JobState, RayJobs

DEFAULT_DASHBOARD_URL = "http://127.0.0.1:8265"
DEFAULT_SERVICE_URL = "http://127.0.0.1:8000"

_LAST_LINES = 30
"""Of the log of a training that failed: enough for a traceback and what led to it."""


@dataclass(frozen=True)
class SubmitOptions:
    """The options of ``rayreward jobs submit``, as `rayreward.cli.app` documents them."""

    spec: Path
    overrides: tuple[str, ...] = ()
    address: str | None = None
    service_url: str | None = None
    follows: bool = True
    is_dry_run: bool = False
    is_json: bool = False


def run_submit(options: SubmitOptions) -> int:
    """Check and submit a training; returns the exit code: the training's own where it is followed.

    Raises:
        ConfigError: everything that cannot work, one line each; nothing was started.
        ServiceUnavailableError: no dashboard answers.
        JobError: Ray refuses the job, or its log is lost.
    """
    spec = load_spec(options.spec, options.overrides)
    service_url = options.service_url or os.environ.get("RAYREWARD_URL") or DEFAULT_SERVICE_URL
    run_id = f"{spec.name}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    job = render(spec, reward_urls=bind_reward(spec, service_url), run_id=run_id, parser=installed_parser())
    dashboard_url = read_address(options.address)
    if options.is_dry_run:
        _show_plan(job, is_json=options.is_json)
    preflight(spec, job, dashboard_url=dashboard_url)
    if options.is_dry_run:
        say("every check passed; nothing was started")
        return OK
    jobs = RayJobs(dashboard_url)
    job_id = jobs.submit(job, job_id=run_id)
    if not options.follows:
        _show_submitted(job, job_id, is_json=options.is_json)
        return OK
    if not options.is_json:
        typer.echo(job_id)
    state = _follow_to_the_end(jobs, job_id, planned_steps(spec))
    if options.is_json:
        write_json(_describe(state))
    say(f"{job_id}: {_in_short(state)}")
    return state.exit_code


def read_address(address: str | None) -> str:
    """The dashboard's URL: as given, else as Ray's own environment variables name it, else on this machine.

    Raises:
        ConfigError: it is no URL of a dashboard.
    """
    names = ("RAY_API_SERVER_ADDRESS", "RAY_DASHBOARD_ADDRESS")
    found = address or next((os.environ[name] for name in names if os.environ.get(name)), DEFAULT_DASHBOARD_URL)
    if not found.startswith(("http://", "https://")):
        raise ConfigError(f"the address of a dashboard is a URL as in {DEFAULT_DASHBOARD_URL}, found {found!r}")
    return found


def _show_plan(job: RenderedJob, *, is_json: bool) -> None:
    """What would be run, in a form that a shell takes."""
    if is_json:
        write_json({"run_id": job.run_id, "argv": job.argv, "env_vars": job.env_vars, "reward_urls": job.reward_urls})
        return
    for name, value in job.env_vars.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    typer.echo(job.entrypoint)


def _show_submitted(job: RenderedJob, job_id: str, *, is_json: bool) -> None:
    if is_json:
        write_json({"job_id": job_id, "run_id": job.run_id, "reward_urls": job.reward_urls})
    else:
        typer.echo(job_id)
    say(f"follow it with: rayreward jobs logs {job_id} --follow")


def _follow_to_the_end(jobs: RayJobs, job_id: str, step_count: int | None) -> JobState:
    from rich.markup import escape

    console = error_console()
    last_lines: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        with console.status("waiting for the first step") as status:

            def show(line: str) -> None:
                last_lines.append(line)
                step = parse_step(line)
                if step is not None:
                    console.print(describe_step(step, step_count), markup=False)
                elif console.is_terminal:
                    status.update(escape(line[: console.width - 4]))

            asyncio.run(_read(jobs, job_id, show))
            state = asyncio.run(jobs.wait(job_id))
    except KeyboardInterrupt:
        say(f"the training goes on: rayreward jobs logs {job_id} --follow; end it with: rayreward jobs stop {job_id}")
        raise
    if state.exit_code != 0:
        say("\n".join(["the end of its log:", *last_lines]))
    return state


async def _read(jobs: RayJobs, job_id: str, show: Callable[[str], None]) -> None:
    async for line in jobs.follow(job_id):
        show(line)


def describe_step(step: StepMetrics, step_count: int | None) -> str:
    """One line for a person."""
    of = f"/{step_count}" if step_count is not None else ""
    return (
        f"step {step.step}{of}: reward {step.reward:.3f} ± {step.reward_std:.3f}, length {step.response_length:.0f}, "
        f"{step.step_s:.1f} s ({step.generation_s:.1f} generating and scoring, {step.train_s:.1f} learning)"
    )


def run_status(job_id: str, *, address: str | None, is_json: bool) -> int:
    """Say how a job is doing."""
    state = RayJobs(read_address(address)).status(job_id)
    if is_json:
        write_json(_describe(state))
    else:
        typer.echo(_in_short(state))
    return OK


def run_logs(job_id: str, *, address: str | None, follows: bool) -> int:
    """Write a job's log to stdout: what there is, or until the job ends."""
    jobs = RayJobs(read_address(address))
    if follows:
        asyncio.run(_read(jobs, job_id, typer.echo))
    else:
        typer.echo(jobs.logs(job_id), nl=False)
        sys.stdout.flush()
    return OK


def run_stop(job_id: str, *, address: str | None) -> int:
    """End a job, and wait until it is gone."""
    jobs = RayJobs(read_address(address))
    was_running = jobs.stop(job_id)
    state = asyncio.run(jobs.wait(job_id))
    say(f"{job_id}: {state.status}" if was_running else f"{job_id} had ended already: {state.status}")
    return OK


def run_list(*, address: str | None, is_json: bool) -> int:
    """Write the cluster's jobs, the newest first."""
    listed = RayJobs(read_address(address)).list_jobs()
    if is_json:
        write_json([asdict(job) for job in listed])
        return OK
    for job in listed:
        started = "" if job.started_s is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(job.started_s))
        typer.echo(f"{job.job_id}  {job.status}  {started}  {job.name or ''}".rstrip())
    return OK


def _in_short(state: JobState) -> str:
    """Status and reason; Ray appends the end of the log to its messages, which is left out."""
    reason = state.message.partition("\n")[0].partition(", last available logs")[0]
    return f"{state.status}  {reason}".rstrip()


def _describe(state: JobState) -> dict[str, Any]:
    return {**asdict(state), "exit_code": state.exit_code if state.has_ended else None}
