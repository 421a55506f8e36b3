"""``rayreward jobs render``, ``schema`` and ``convert``: specs looked at, and nothing started.

What arrives: a spec, or a command line of OpenRLHF. What leaves: text on stdout.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import typer

from rayreward.cli.output import OK, write_json
from rayreward.cli.service import service_url_of
from rayreward.jobs.launch import make_plan
from rayreward.jobs.openrlhf.convert import convert_command
from rayreward.jobs.render import RenderedJob
from rayreward.jobs.spec import json_schema, load_spec


def run_render(spec: Path, overrides: tuple[str, ...], *, service_url: str | None, is_json: bool) -> int:
    """Write what a spec comes to."""
    plan = make_plan(load_spec(spec, overrides), service_url=service_url_of(service_url))
    show_job(plan.job, is_json=is_json)
    return OK


def show_job(job: RenderedJob, *, is_json: bool) -> None:
    """What would be run, in a form that a shell takes."""
    if is_json:
        write_json(describe_job(job))
        return
    for name in job.uploads:
        typer.echo(f"# in its working directory: {name}")
    for name, value in job.env_vars.items():
        typer.echo(f"export {name}={shlex.quote(value)}")
    typer.echo(job.entrypoint)


def describe_job(job: RenderedJob) -> dict[str, Any]:
    """The job as data, without the content of its files."""
    data: dict[str, Any] = json.loads(job.to_json())
    return {**data, "uploads": sorted(job.uploads)}


def run_schema() -> int:
    """Write the JSON schema of all specs."""
    write_json(json_schema())
    return OK


def run_convert(command: str) -> int:
    """Write the spec that a command line comes to."""
    converted = convert_command(sys.stdin.read() if command == "-" else command)
    typer.echo(converted.yaml(), nl=False)
    return OK
