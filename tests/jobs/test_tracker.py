from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rayreward.jobs.render import RenderedJob
from rayreward.jobs.tracker import NoTracker, WandbTracker, build_tracker
from tests.jobs.conftest import build_spec

JOB = RenderedJob("test", "run-1", ("python", "-m", "trainer"), {})

OFFLINE = """
import sys
from rayreward.jobs.tracker import build_tracker
from tests.jobs.test_tracker import JOB
from tests.jobs.conftest import build_spec

mode = sys.argv[2]
spec = build_spec(logging={"wandb_project": "p", "wandb_mode": mode}, checkpoint={"output_dir": sys.argv[1]})
tracker = build_tracker(spec, JOB)
tracker.log(1, {"reward/right": 0.5, "reward_failures/timeout": 2.0})
tracker.close(0)
"""


def run_apart(folder: Path, mode: str) -> subprocess.CompletedProcess[str]:
    """In a process without an account: W&B reads home, netrc and environment."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    environment |= {"HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", OFFLINE, str(folder / "out"), mode]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_without_a_project_nothing_is_kept() -> None:
    assert isinstance(build_tracker(build_spec(), JOB), NoTracker)


def test_offline_needs_no_account_and_keeps_components_and_failures(tmp_path: Path) -> None:
    done = run_apart(tmp_path, "offline")

    assert done.returncode == 0, done.stderr
    [kept] = (tmp_path / "out" / "wandb").glob("offline-run-*/run-run-1.wandb")
    assert b"reward/right" in kept.read_bytes()
    assert b"reward_failures/timeout" in kept.read_bytes()


def test_online_without_a_key_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = run_apart(tmp_path, "online")

    assert done.returncode != 0
    assert "set WANDB_API_KEY or run wandb login where the job runs" in done.stderr


class BrokenRun:
    def define_metric(self, *_: Any, **__: Any) -> None:
        pass

    def log(self, _: Any) -> None:
        raise OSError("disk full")


def test_a_logger_that_breaks_says_so_once(capsys: pytest.CaptureFixture[str]) -> None:
    tracker = WandbTracker(BrokenRun())

    tracker.log(1, {"a": 1.0})
    tracker.log(2, {"a": 1.0})

    assert capsys.readouterr().err == "W&B takes no metrics from step 1 on: disk full\n"


def test_the_key_is_nowhere_in_what_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    from rayreward.jobs.launch import make_plan

    spec = build_spec(logging={"wandb_project": "p"}, reward={"transport": "http"}, openrlhf_version="0.11.2")
    plan = make_plan(spec, service_url="http://127.0.0.1:8000")

    assert "k" * 40 not in plan.to_json()
    assert "wandb.key" not in json.dumps(plan.job.argv)
