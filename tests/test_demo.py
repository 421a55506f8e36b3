"""The whole path, as `make demo` walks it: one real OpenRLHF training whose rollouts ask the router."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.ray
@pytest.mark.openrlhf
@pytest.mark.timeout(600)
def test_the_demo_trains_a_model_against_the_router_and_proves_it(tmp_path: Path) -> None:
    mark = {"RAYREWARD_TEST_DEMO": str(tmp_path)}  # what the demo starts has its environment; others' clusters do not
    rayreward = Path(sys.executable).with_name("rayreward")
    done = subprocess.run(
        [rayreward, "demo", "--out", tmp_path / "demo"],
        cwd=ROOT, capture_output=True, text=True, timeout=580, env={**os.environ, **mark},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    summary = json.loads((tmp_path / "demo" / "summary.json").read_bytes())
    assert summary["steps"] >= 30
    assert summary["reward_last"] >= summary["reward_first"] + 0.5
    assert summary["rewards_match"] is True
    assert summary["gsm8k_agreement"] == 1.0
    assert summary["samples_scored"] == 200
    assert summary["failures"] == {}
    assert (tmp_path / "demo" / "reward_curve.png").read_bytes().startswith(b"\x89PNG")
    assert f"Global step {summary['steps']}" in (tmp_path / "demo" / "job.log").read_text()

    assert [process.cmdline() for process in psutil.process_iter() if has(process, mark)] == []


def has(process: psutil.Process, mark: dict[str, str]) -> bool:
    try:
        return mark.items() <= process.environ().items()
    except psutil.Error:  # it has just ended, or is the kernel's
        return False
