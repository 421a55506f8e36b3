"""The run's own process, with a script in the trainer's place."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import ServiceUnavailableError
from rayreward.jobs.render import RenderedJob
from rayreward.jobs.run import REWARD_LOST, Outcome, Training
from rayreward.router.runs import Mean, RunStats
from tests.jobs.conftest import build_spec

STEP = "print(\"Global step {n}: {{'rollout/reward_mean': {reward}, 'timing/generation': 1.0}}\")\n"


class Kept:
    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, float]]] = []

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.logged.append((step, dict(metrics)))

    def close(self, exit_code: int) -> None:
        pass


def training(folder: Path, script: str, **options: Any) -> tuple[Training, io.BytesIO, Kept]:
    """A training that is `script`, run as ``python <file> <module> <flags>``."""
    (folder / "trainer.py").write_text(textwrap.dedent(script))
    argv = (sys.executable, "-u", "-m", "the.trainer", "--flag", "value")
    job = RenderedJob("test", "run-1", argv, {"COLOUR": "blue"}, uploads={"rollout.py": "# executor"})
    out, kept = io.BytesIO(), Kept()
    spec = build_spec(reward=options.pop("reward", {}))
    options = {"read_stats": None, "tracker": kept, "out": out, "starter": [str(folder / "trainer.py")]} | options
    return Training(spec, job, **options), out, kept


async def test_the_log_passes_through_and_the_exit_code_with_it(tmp_path: Path) -> None:
    running, out, _ = training(tmp_path, "import sys; print('hello', *sys.argv[1:]); sys.exit(7)")

    assert await running.run() == Outcome(7)
    assert out.getvalue() == b"hello the.trainer --flag value\n"


async def test_environment_and_files_are_handed_to_every_actor(tmp_path: Path) -> None:
    script = """
        import json, os, pathlib
        env = json.loads(os.environ["RAYREWARD_RUNTIME_ENV"])
        folder = pathlib.Path(env["working_dir"])
        print(os.environ["COLOUR"], env["env_vars"]["COLOUR"], env["env_vars"]["NCCL_DEBUG"])
        print((folder / "rollout.py").read_text(), folder)
    """
    running, out, _ = training(tmp_path, script)

    await running.run()

    colours, upload = out.getvalue().decode().splitlines()
    assert colours == "blue blue WARN"
    assert upload.startswith("# executor ")
    assert not os.path.exists(upload.rpartition(" ")[2]), "the folder is gone with the training"  # noqa: ASYNC240


async def test_each_step_has_a_line_and_metrics_of_its_own(tmp_path: Path) -> None:
    counts = iter([RunStats("run-1", 4, Mean(1.0, 4)), RunStats("run-1", 8, Mean(3.0, 7), 1, {"timeout": 1})])
    last: list[RunStats] = []

    async def read_stats() -> RunStats:
        last.append(next(counts, last[-1] if last else RunStats("run-1")))
        return last[-1]

    script = STEP.format(n=1, reward=0.25) + STEP.format(n=1, reward=0.25) + STEP.format(n=2, reward=0.5)
    running, out, kept = training(tmp_path, script, read_stats=read_stats, look_pause_s=60.0)

    assert await running.run() == Outcome(0)

    lines = [line for line in out.getvalue().decode().splitlines() if line.startswith("[rayreward]")]
    assert [line.split("  ")[0] for line in lines] == ["[rayreward] step 1", "[rayreward] step 2"]
    assert [step for step, _ in kept.logged] == [1, 2]
    assert running.report.summary()["rewards"] == [0.25, 0.5]


async def test_a_training_whose_reward_is_gone_is_stopped_and_says_why(tmp_path: Path) -> None:
    async def read_stats() -> RunStats:
        return RunStats("run-1", unavailable_s=100.0)

    script = "import time; print('training', flush=True); time.sleep(600)"
    running, out, _ = training(tmp_path, script, read_stats=read_stats, reward={"max_unavailable_s": 60})

    outcome = await running.run()

    assert outcome.exit_code == REWARD_LOST
    assert outcome.reason == "the reward has not answered for 100 s (no replica), and 60 s are allowed"
    assert "stopping the training: the reward has not answered" in out.getvalue().decode()


async def test_a_router_that_cannot_be_asked_costs_no_step(tmp_path: Path) -> None:
    async def read_stats() -> RunStats:
        raise ServiceUnavailableError("connection refused")

    running, out, kept = training(tmp_path, STEP.format(n=1, reward=0.25), read_stats=read_stats)

    assert await running.run() == Outcome(0)
    assert [step for step, _ in kept.logged] == [1]
    assert "failed:" not in out.getvalue().decode(), "what is not known is not said"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_the_training_first(tmp_path: Path, number: signal.Signals) -> None:
    script = "import time; print('training', flush=True); time.sleep(600)"
    told: list[Outcome] = []
    running, out, _ = training(tmp_path, script, on_stop=told.append)
    task = asyncio.create_task(running.run())
    while b"training" not in out.getvalue():  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.01)

    os.kill(os.getpid(), number)

    assert await task == Outcome(143, f"the run was stopped by {number.name}")
    assert told == [Outcome(143, f"the run was stopped by {number.name}")]


async def test_a_training_that_dies_of_a_signal_has_the_shell_s_code(tmp_path: Path) -> None:
    running, _, _ = training(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")

    assert await running.run() == Outcome(137)
