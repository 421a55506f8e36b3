"""The commands of ``rayreward jobs``.

What arrives: the words of the command line. What leaves: a call of `rayreward.cli.jobs` or `rayreward.cli.job_specs`,
which are imported only then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

jobs = typer.Typer(help="Trainings as Ray jobs.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Spec = Annotated[Path, typer.Argument(metavar="SPEC.yaml", help="The training; see jobs/ for examples.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="KEY=VALUE", help="As in rollout.batch_size=16.")]
Address = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Ray's dashboard; RAY_API_SERVER_ADDRESS or port 8265 here by default."),
]
Service = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Of the reward service, for http; RAYREWARD_URL or port 8000 by default."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint of the output folder.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="As submit and list print it.")]


@jobs.command("submit")
def submit(
    spec: Spec,
    overrides: Overrides = None,
    address: Address = None,
    service: Service = None,
    follow: Annotated[bool, typer.Option(help="Show its steps until it ends, and exit with its code.")] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the command, check everything, and stop.")] = False,
    resume: Resume = False,
    json: Json = False,
) -> None:
    """Check a training, submit it, and follow it.

    Nothing is started unless versions, plan, prompts and reward pass.
    """
    from rayreward.cli.jobs import SubmitOptions, run_submit

    options = SubmitOptions(
        spec=spec,
        overrides=(*(overrides or ()), *(["checkpoint.resume=true"] if resume else ())),
        address=address,
        service_url=service,
        follows=follow,
        is_dry_run=dry_run,
        is_json=json,
    )
    raise typer.Exit(run_submit(options))


@jobs.command("run")
def run(
    spec: Annotated[
        Path | None, typer.Argument(metavar="SPEC.yaml", help="The training; in a submitted job, its own.")
    ] = None,
    overrides: Overrides = None,
    service: Service = None,
    resume: Resume = False,
) -> None:
    """Check a training and run it here, on a node of the cluster.

    What ``submit`` does on the cluster; also for ``ray job submit -- python
    -m rayreward.jobs run SPEC.yaml``. Exits with the training's code.
    """
    from rayreward.cli.jobs import run_here

    given = (*(overrides or ()), *(["checkpoint.resume=true"] if resume else ()))
    raise typer.Exit(run_here(spec, given, service_url=service))


@jobs.command("render")
def render(spec: Spec, overrides: Overrides = None, service: Service = None, json: Json = False) -> None:
    """Print the exact command, environment and uploaded files of a training."""
    from rayreward.cli.job_specs import run_render

    raise typer.Exit(run_render(spec, tuple(overrides or ()), service_url=service, is_json=json))


@jobs.command("schema")
def schema() -> None:
    """Print the JSON schema of job specs, for editors."""
    from rayreward.cli.job_specs import run_schema

    raise typer.Exit(run_schema())


@jobs.command("convert")
def convert(
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="The whole command line as one word, or - .")],
) -> None:
    """Turn a train_ppo_ray command line into a spec, as YAML.

    Flat flags and dotted ones; what cannot be carried over is said in
    comments. With - the command is read from stdin.
    """
    from rayreward.cli.job_specs import run_convert

    raise typer.Exit(run_convert(command))


@jobs.command("status")
def status(job_id: JobId, address: Address = None, json: Json = False) -> None:
    """Say how a job is doing."""
    from rayreward.cli.jobs import run_status

    raise typer.Exit(run_status(job_id, address=address, is_json=json))


@jobs.command("logs")
def logs(
    job_id: JobId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the job ends.")] = False,
    address: Address = None,
) -> None:
    """Write a job's log to stdout."""
    from rayreward.cli.jobs import run_logs

    raise typer.Exit(run_logs(job_id, address=address, follows=follow))


@jobs.command("watch")
def watch(
    job_id: JobId,
    address: Address = None,
    service: Service = None,
    max_unavailable: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="Stop the job when its reward is silent for longer.")
    ] = 900.0,
) -> None:
    """Stop a job whose reward answers nothing for too long.

    A job that ``submit`` started watches itself (reward.max_unavailable_s);
    this is for others, and for tighter bounds. Exits with the job's code.
    """
    from rayreward.cli.jobs import run_watch

    raise typer.Exit(run_watch(job_id, address=address, service_url=service, limit_s=max_unavailable))


@jobs.command("stop")
def stop(job_id: JobId, address: Address = None) -> None:
    """End a job, and wait until it is gone."""
    from rayreward.cli.jobs import run_stop

    raise typer.Exit(run_stop(job_id, address=address))


@jobs.command("list")
def list_jobs(address: Address = None, json: Json = False) -> None:
    """List the cluster's jobs, the newest first."""
    from rayreward.cli.jobs import run_list

    raise typer.Exit(run_list(address=address, is_json=json))
