from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from rayreward.jobs import orphans
from rayreward.jobs.orphans import RUN_VARIABLE, end_orphans


async def test_what_a_training_leaves_behind_is_ended_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orphans, "_END_LIMIT_S", 0.0)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    ours = subprocess.Popen(command, env=os.environ | {RUN_VARIABLE: "run-1"})  # noqa: ASYNC220
    others = subprocess.Popen(command, env=os.environ | {RUN_VARIABLE: "run-2"})  # noqa: ASYNC220
    try:
        assert await end_orphans("run-1") == 1
        assert ours.wait(timeout=30) == -9
        assert psutil.Process(others.pid).is_running()
        assert await end_orphans("run-1") == 0
    finally:
        others.kill()
        others.wait()
