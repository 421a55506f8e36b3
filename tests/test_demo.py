"""The whole path, as `make demo` walks it: one real OpenRLHF training whose rollouts ask the router."""

from __future__ import annotations

import json
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
    before = {process.pid for process in psutil.process_iter()}
    rayreward = Path(sys.executable).with_name("rayreward")
    done = subprocess.run(
        [rayreward, "demo", "--out", tmp_path / "demo"], cwd=ROOT, capture_output=True, text=True, timeout=580
    )
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

    left = [process for process in psutil.process_iter() if process.pid not in before]
    assert [process.cmdline() for process in left if "ray" in " ".join(process.cmdline())] == []
