"""The command tree.

What arrives: the words of the command line. What leaves: a call of the command's own module, which is imported only
then: ``rayreward --help`` loads neither ray nor torch nor httpx.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rayreward import __version__
from rayreward.cli.jobs_app import Json, jobs
from rayreward.cli.output import errors_rendered
from rayreward.cli.versions_app import versions


class Commands(TyperGroup):
    """The root of the tree: the boundary at which errors become messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        with errors_rendered():
            return super().invoke(ctx)


app = typer.Typer(
    name="rayreward",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback with local values would print tokens
)

app.add_typer(jobs, name="jobs")
app.add_typer(versions, name="versions")


def _show_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"rayreward {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The reward plane for RL post-training: try, serve and score rewards, and train with them."""


Quiet = Annotated[bool, typer.Option("--quiet", help="No notes and no progress on stderr; errors still.")]


@app.command()
def score(
    data: Annotated[Path, typer.Argument(metavar="DATA.jsonl", help="Samples, one JSON object a line.")],
    reward: Annotated[
        str, typer.Option(metavar="NAME_OR_PATH", help="A built-in, file.py::name, file.py, pkg.mod:name.")
    ],
    out: Annotated[Path, typer.Option(metavar="OUT.jsonl", help="Outputs, one a line, in order.")],
    arg: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="For the reward; JSON, or text. Repeatable.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="A service's root: score there, by its reward of that name.")
    ] = None,
    token_env: Annotated[
        str | None, typer.Option(metavar="NAME", help="Variable with the bearer token; RAYREWARD_TOKEN by default.")
    ] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.001, help="Seconds: a sample's here, a request's at a service.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Samples a call.")] = 64,
    processes: Annotated[int, typer.Option(min=1, max=256, help="Worker processes of a local reward.")] = 1,
    prompt_key: Annotated[str | None, typer.Option(metavar="COLUMN", help="Where the prompt is.")] = None,
    response_key: Annotated[str | None, typer.Option(metavar="COLUMN", help="Where the response is.")] = None,
    messages_key: Annotated[str | None, typer.Option(metavar="COLUMN", help="Where the chat is, instead.")] = None,
    label_key: Annotated[str | None, typer.Option(metavar="COLUMN", help="Where the ground truth is.")] = None,
    fail_on_failure: Annotated[bool, typer.Option("--fail-on-failure", help="Exit 1 if a sample failed.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score a file of samples, here or by a service.

    Run it again with the same --out and it goes on where it stopped.
    A sample that fails, or a line that is malformed, becomes an output
    without a score that says why; it never stops the others.

    Columns are told from the first row: messages; or prompt, question,
    problem, … with response, completion, solution, answer, …; or OpenRLHF's
    query. The label is label, ground_truth, answer, …
    """
    from rayreward.cli.score import ScoreOptions, run_score
    from rayreward.scoring import Columns

    options = ScoreOptions(
        data=data,
        reward=reward,
        out=out,
        arguments=tuple(arg or ()),
        endpoint=endpoint,
        token_env=token_env,
        timeout_s=timeout,
        batch_samples=batch,
        process_count=processes,
        columns=Columns(prompt=prompt_key, response=response_key, messages=messages_key, label=label_key),
        is_json=json,
        is_quiet=quiet,
        fails_on_failure=fail_on_failure,
    )
    raise typer.Exit(run_score(options))


@app.command()
def check(
    reward: Annotated[
        str, typer.Argument(metavar="NAME_OR_PATH", help="A built-in, file.py::name, file.py, pkg.mod:name.")
    ],
    data: Annotated[
        Path, typer.Option(metavar="DATA.jsonl", help="Samples with right and wrong responses, or with labels alone.")
    ],
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", "--args", metavar="KEY=VALUE", help="For the reward; JSON, or text. Repeatable."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Samples to use, from all over the file.")] = 200,
    threshold: Annotated[
        float, typer.Option(min=0.0, help="A cheap answer is wrong from this share of the real mean on.")
    ] = 0.5,
    timeout: Annotated[float | None, typer.Option(min=0.001, help="Seconds a sample; the reward's own else.")] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(metavar="PROBE", help="determinism, batching, order, speed, hostile or hacks. Repeatable."),
    ] = None,
    prompt_key: Annotated[str | None, typer.Option(metavar="COLUMN", help="Where the prompt is.")] = None,
    response_key: Annotated[str | None, typer.Option(metavar="COLUMN", help="Where the response is.")] = None,
    messages_key: Annotated[str | None, typer.Option(metavar="COLUMN", help="Where the chat is, instead.")] = None,
    label_key: Annotated[str | None, typer.Option(metavar="COLUMN", help="Where the ground truth is.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check a reward before a run.

    Does it score the real responses, the same every time, in any order and
    batch? How fast? What does it make of hostile inputs? And what do answers
    earn that deserve nothing? It runs in a process that can be killed.

    Exits 1 if something is wrong.
    """
    from rayreward.checking.check import CheckOptions
    from rayreward.cli.check import CheckCall, run_check
    from rayreward.scoring import Columns

    call = CheckCall(
        reward=reward,
        data=data,
        columns=Columns(prompt=prompt_key, response=response_key, messages=messages_key, label=label_key),
        options=CheckOptions(threshold=threshold, timeout_s=timeout, skip=tuple(skip or ())),
        limit=limit,
        arguments=tuple(arg or ()),
        is_json=json,
        is_quiet=quiet,
    )
    raise typer.Exit(run_check(call))


@app.command(name="verify-model")
def verify_model_command(
    path: Annotated[str, typer.Argument(metavar="PATH", help="A checkpoint: a folder, or a name of the hub.")],
    backend: Annotated[str, typer.Option(help="auto, packed, padded, plain or vllm.")] = "auto",
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16.")] = "float32",
    device: Annotated[str | None, typer.Option(help="cuda, cuda:1, cpu; CUDA else, where there is one.")] = None,
    max_length: Annotated[int, typer.Option(min=1, metavar="TOKENS", help="Of one conversation.")] = 4096,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Any other setting of a reward model; JSON, or text. Repeatable."),
    ] = None,
    tokens: Annotated[int, typer.Option(min=320, help="Of the whole probe; fewer are faster.")] = 12_000,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check that a reward model scores as it was trained to.

    A fixed probe is read by the plain forward, one text at a time, and by
    the backend in every way that a service would: together, alone, in
    another order, with and without siblings. Special tokens and what is cut
    of a long prompt are checked, too.

    Exits 1 if a check fails, 2 if the checkpoint is refused.
    """
    from rayreward.cli.score import read_arguments
    from rayreward.cli.verify_model import run_verify_model
    from rayreward.models.settings import ModelSettings

    options = {"backend": backend, "dtype": dtype, "device": device, "max_length": max_length}
    settings = ModelSettings.from_options(path, **options | read_arguments(option or ()))
    raise typer.Exit(run_verify_model(settings, budget_tokens=tokens, is_json=json, is_quiet=quiet))


@app.command(name="serve")
def serve_command(
    target: Annotated[
        str, typer.Argument(help="rewards.yaml, rewards.py, rewards.py::name, pkg.mod:name, a built-in.")
    ],
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where to listen.")] = 8000,
    name: Annotated[str, typer.Option(help="Of the Ray Serve application.")] = "rewards",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check that everything loads, and stop.")] = False,
) -> None:
    """Serve rewards over HTTP until Ctrl-C.

    On the cluster of RAY_ADDRESS where that is set, else on one inside this process.
    """
    from rayreward.cli.serve import serve

    serve(target, host=host, port=port, name=name, dry_run=dry_run)


@app.command()
def prescale(
    reward: Annotated[str, typer.Argument(help="A served reward's name.")],
    replicas: Annotated[int, typer.Option(min=0, help="At least so many; 0 takes an earlier wish back.")],
    for_s: Annotated[float, typer.Option("--for", metavar="SECONDS", help="How long.")] = 120.0,
    url: Annotated[str | None, typer.Option(metavar="URL", help="The service's root; RAYREWARD_URL else.")] = None,
    json: Json = False,
) -> None:
    """Have replicas of a reward started before there is work for them."""
    from rayreward.cli.prescale import run_prescale

    raise typer.Exit(run_prescale(reward, replicas=replicas, for_s=for_s, url=url, is_json=json))


@app.command()
def doctor(
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help="A service's root: ask it too.")] = None,
    json: Json = False,
) -> None:
    """Say what is missing or in conflict on this machine, and how to mend it.

    Exits 1 if something will not work.
    """
    from rayreward.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(endpoint=endpoint, is_json=json))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("runs/demo"),
    seed: Annotated[int | None, typer.Option(help="Of the model, the prompts and the training.")] = None,
) -> None:
    """Serve rewards and train a tiny model against them, on this machine's CPU.

    Exits 1 if the reward did not rise.
    """
    from rayreward.demo.run import run_demo

    raise typer.Exit(run_demo(out, seed=seed))
