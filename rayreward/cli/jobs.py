"""``rayreward jobs``: submit a training, follow it, ask after it, stop it.

What arrives: the options of the command line. What leaves: job ids, states, logs and commands on stdout, the course of
a training on stderr, and the exit code of a training that was followed to its end. What a training is, how it is
checked and run: `rayreward.jobs`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import typer

from rayreward.cli.job_specs import describe_job, show_job
from rayreward.cli.output import OK, error_console, say, write_json
from rayreward.cli.service import service_url_of
from rayreward.client import HttpClient
from rayreward.errors import ConfigError, RayRewardError
from rayreward.jobs.launch import Plan, is_on_this_machine, make_plan, run_plan, staged_plan, submit
from rayreward.jobs.preflight import preflight
from rayreward.jobs.report import MARK
from rayreward.jobs.run import REWARD_LOST
from rayreward.jobs.spec import load_spec
from rayreward.jobs.submit import JobState, RayJobs
from rayreward.jobs.watch import Watch

DEFAULT_DASHBOARD_URL = "http://127.0.0.1:8265"

_LAST_LINES = 30
"""Of the log of a training that failed: enough for a traceback and what led to it."""

_WATCH_PAUSE_S = 5.0
"""Between two looks at a job and its reward."""

_WATCH_LIMIT_S = 5.0
"""For one question to the reward service."""


@dataclass(frozen=True)
class SubmitOptions:
    """The options of ``rayreward jobs submit``, as `rayreward.cli.jobs_app` documents them."""

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
    plan = make_plan(spec, service_url=service_url_of(options.service_url))
    dashboard_url = read_address(options.address)
    if options.is_dry_run:
        show_job(plan.job, is_json=options.is_json)
    is_elsewhere = not is_on_this_machine(dashboard_url)
    for warning in preflight(plan.spec, plan.job, dashboard_url=dashboard_url, is_elsewhere=is_elsewhere):
        say(f"warning: {warning}", style="yellow")
    if options.is_dry_run:
        say("every check passed; nothing was started")
        return OK
    jobs = RayJobs(dashboard_url)
    job_id = submit(plan, jobs, is_elsewhere=is_elsewhere)
    if not options.follows:
        _show_submitted(plan, job_id, is_json=options.is_json)
        return OK
    if not options.is_json:
        typer.echo(job_id)
    state = _follow_to_the_end(jobs, job_id)
    if options.is_json:
        write_json(_describe(state))
    say(f"{job_id}: {_in_short(state)}")
    return state.exit_code


def run_here(spec: Path | None, overrides: tuple[str, ...], *, service_url: str | None) -> int:
    """Check a training and run it in this process's place; returns the training's exit code.

    Without a spec it is the one that was submitted with the job that this process belongs to.

    Raises:
        ConfigError: everything that cannot work, one line each; nothing was started.
    """
    if spec is None:
        return run_plan(staged_plan(), is_checked=True)
    plan = make_plan(load_spec(spec, overrides), service_url=service_url_of(service_url))
    return run_plan(plan)


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


def _show_submitted(plan: Plan, job_id: str, *, is_json: bool) -> None:
    if is_json:
        write_json({"job_id": job_id, **describe_job(plan.job)})
    else:
        typer.echo(job_id)
    say(f"follow it with: rayreward jobs logs {job_id} --follow")


def _follow_to_the_end(jobs: RayJobs, job_id: str) -> JobState:
    from rich.markup import escape

    console = error_console()
    last_lines: deque[str] = deque(maxlen=_LAST_LINES)
    try:
        with console.status("waiting for the first step") as status:

            def show(line: str) -> None:
                last_lines.append(line)
                if line.startswith(MARK):
                    console.print(line.removeprefix(f"{MARK} "), markup=False)
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


def run_watch(job_id: str, *, address: str | None, service_url: str | None, limit_s: float) -> int:
    """Look after a job until it ends; stop it when its reward is silent for longer than `limit_s`."""
    jobs = RayJobs(read_address(address))
    return asyncio.run(_watch(jobs, job_id, service_url, limit_s))


async def _watch(jobs: RayJobs, job_id: str, service_url: str | None, limit_s: float) -> int:
    watch = Watch(limit_s)
    state = await asyncio.to_thread(jobs.status, job_id)
    client = HttpClient(state.service_url or service_url_of(service_url))
    say(f"watching {job_id}; its reward may be silent for {limit_s:g} s")
    while not state.has_ended:
        stats, trouble = None, ""
        try:
            stats = await asyncio.wait_for(client.arun_stats(state.run_id or job_id), _WATCH_LIMIT_S)
        except (RayRewardError, OSError) as error:
            trouble = str(error) or type(error).__name__
        reason = watch.observe(stats, trouble, now_s=time.monotonic())
        if reason is not None:
            say(f"stopping {job_id}: {reason}", style="red")
            await asyncio.to_thread(jobs.stop, job_id)
            await jobs.wait(job_id)
            return REWARD_LOST
        await asyncio.sleep(_WATCH_PAUSE_S)
        state = await asyncio.to_thread(jobs.status, job_id)
    say(f"{job_id}: {_in_short(state)}")
    return state.exit_code


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
