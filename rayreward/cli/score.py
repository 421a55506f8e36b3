"""``rayreward score``: a file of samples in, a file of outputs out.

What arrives: the options of the command line. What leaves: the output file, and the summary on stdout. The scoring
itself, and what it promises, is `rayreward.scoring`.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from rayreward.cli.output import CHECK_FAILED, OK, say, stdout_kept_for_data, write_json
from rayreward.cli.progress import Reporter, shown_progress
from rayreward.client import HttpClient, LocalClient, RewardClient, connect
from rayreward.errors import ConfigError, RayRewardError, UnknownRewardError, did_you_mean
from rayreward.sample import Sample
from rayreward.scoring import Columns, DataFile, OutputFile, Summary, score_file
from rayreward.scoring.find_reward import find_reward
from rayreward.spec import load_reward
from rayreward.types import RewardOutput

_REQUESTS_AT_ONCE = 8
"""Requests under way to a service: enough to fill its batches, few enough to leave room for a training."""

_LISTING_LIMIT_S = 10.0
"""For a service to say what it serves, retries included: a wrong address must not look like a slow one."""


@dataclass(frozen=True)
class ScoreOptions:
    """The options of ``rayreward score``, as `rayreward.cli.app` documents them."""

    data: Path
    reward: str
    out: Path
    columns: Columns
    arguments: tuple[str, ...] = ()
    endpoint: str | None = None
    token_env: str | None = None
    timeout_s: float | None = None
    batch_samples: int = 64
    process_count: int = 1
    is_json: bool = False
    is_quiet: bool = False
    fails_on_failure: bool = False


@dataclass(frozen=True)
class Source:
    """Where scores come from.

    Attributes:
        batches_at_once: that it can work on.
        version: of the reward now; None where it is not known yet.
        timeout_s: that a call asks for; None where the reward's own deadline holds.
    """

    client: RewardClient
    reward: str
    batches_at_once: int
    version: str | None
    timeout_s: float | None
    run: str


def run_score(options: ScoreOptions) -> int:
    """Score the file; returns the exit code.

    Raises:
        RayRewardError: nothing more can be scored; what was scored is in the output file.
    """
    with stdout_kept_for_data():
        summary = _score(options)
    if options.is_json:
        write_json(summary)
    else:
        typer.echo(render_summary(summary))
    return CHECK_FAILED if options.fails_on_failure and summary.failed else OK


def _score(options: ScoreOptions) -> Summary:
    started_s = time.monotonic()
    data = DataFile(options.data, options.columns)
    source = open_source(options)
    with OutputFile(options.out, data) as out:
        out.check_version(source.version)
        if not options.is_quiet:
            say(f"{options.data}: {str(data.columns) or 'no rows'}")
            if out.resumed:
                say(f"{options.out} has {out.resumed} lines already; going on after them")
        try:
            with shown_progress(is_quiet=options.is_quiet, clock=time.monotonic) as reporter:
                asyncio.run(_drive(data, out, source, options.batch_samples, reporter))
        except (KeyboardInterrupt, RayRewardError):
            say(f"{options.out} holds {out.tally.samples} whole lines; the same command goes on from there")
            raise
        return out.tally.summary(resumed=out.resumed, duration_s=time.monotonic() - started_s, out=str(options.out))


async def _drive(data: DataFile, out: OutputFile, source: Source, batch_samples: int, reporter: Reporter) -> None:
    async def send(samples: Sequence[Sample]) -> list[RewardOutput]:
        return await source.client.ascore(
            samples, reward=source.reward, timeout_s=source.timeout_s, run=source.run, priority="batch"
        )

    ticker = asyncio.create_task(_tick(reporter))
    async with source.client:
        try:
            await score_file(
                data, out, send,
                batch_samples=batch_samples, batches_at_once=source.batches_at_once, on_progress=reporter.update,
            )  # fmt: skip
        finally:
            ticker.cancel()


async def _tick(reporter: Reporter) -> None:
    while True:
        await asyncio.sleep(1.0)
        reporter.tick()


def open_source(options: ScoreOptions) -> Source:
    """The way to the reward: a service where an endpoint is given, else this machine.

    Raises:
        ConfigError: options that do not go together.
        RewardLoadError: no such reward here.
        UnknownRewardError: the service has no such reward.
        ServiceUnavailableError: the service cannot be reached.
    """
    run = f"score:{options.out.stem}"
    if options.endpoint is not None:
        return _open_service(options, options.endpoint, run)
    if options.token_env is not None:
        raise ConfigError("--token-env is sent to a service; give --endpoint too, or leave it out")
    reward = load_reward(find_reward(options.reward), read_arguments(options.arguments))
    if options.timeout_s is not None:
        reward.timeout_s = options.timeout_s
    client = LocalClient({options.reward: reward}, process_count=options.process_count)
    # One batch more than there are processes: the next one waits at the door when a process is free.
    return Source(client, options.reward, options.process_count + 1, reward.version, None, run)


def _open_service(options: ScoreOptions, endpoint: str, run: str) -> Source:
    if options.arguments or options.process_count != 1:
        raise ConfigError("--arg and --processes belong to a local reward; leave them out with --endpoint")
    token = None if options.token_env is None else os.environ.get(options.token_env)
    if options.token_env is not None and not token:
        raise ConfigError(f"--token-env {options.token_env}: the environment has no such variable, or it is empty")
    client, name = connect(options.reward, endpoint=endpoint, token=token)
    infos = {info.name: info for info in HttpClient(endpoint, token=token, timeout_s=_LISTING_LIMIT_S).rewards()}
    if name not in infos:
        raise UnknownRewardError(f"{endpoint} serves no reward {name!r}; {did_you_mean(name, infos)}")
    return Source(client, name, _REQUESTS_AT_ONCE, infos[name].version, options.timeout_s, run)


def read_arguments(pairs: Sequence[str]) -> dict[str, Any]:
    """``--arg key=value`` texts: values are JSON where they can be read as such, else text.

    Raises:
        ConfigError: a text without ``=``, or a key given twice.

    Example:
        >>> read_arguments(["target=3", "tags=[1]", "unit=cm"])
        {'target': 3, 'tags': [1], 'unit': 'cm'}
    """
    arguments: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise ConfigError(f"--arg {pair!r} is not of the form key=value")
        if key in arguments:
            raise ConfigError(f"--arg {key} is given twice")
        try:
            arguments[key] = json.loads(text)
        except ValueError:
            arguments[key] = text
    return arguments


def render_summary(summary: Summary) -> str:
    """The summary for a person: one fact a line."""
    there = f" ({summary.resumed} of them were there already)" if summary.resumed else ""
    failed = ", ".join(f"{kind} {count}" for kind, count in summary.failed.items()) or "none"
    lines = [f"samples   {summary.samples}{there}", f"scored    {summary.scored}", f"failed    {failed}"]
    if summary.mean is not None:
        parts = {"mean": summary.mean, "std": summary.std, "min": summary.min, "max": summary.max}
        lines.append("score     " + "  ".join(f"{name} {value:.6g}" for name, value in parts.items()))
    if summary.versions:
        lines.append(f"version   {', '.join(summary.versions)}")
    lines.append(f"took      {summary.duration_s:.1f} s, {summary.samples_per_s:.1f} samples/s")
    lines.append(f"out       {summary.out}")
    return "\n".join(lines)
