from __future__ import annotations

import json

from rayreward.jobs.trl.render import SPEC_FILE, render_trl
from rayreward.jobs.trl.spec import TrlSpec
from tests.jobs.trl.conftest import build_spec


def test_the_spec_travels_as_a_file_and_the_reward_as_a_url() -> None:
    spec = build_spec(reward={"name": "math", "transport": "http"}, env_vars={"A": "1"})
    job = render_trl(spec, run_id="test-1", service_url="http://host:8000")

    assert job.module == "rayreward.jobs.trl.train"
    assert job.flags == (SPEC_FILE, "--run-id", "test-1", "--reward-url", "http://host:8000/math/get_reward?run=test-1")
    assert (job.kind, job.gpus, job.env_vars) == ("trl", 1.0, {"A": "1"})
    assert TrlSpec.parse(json.loads(job.uploads[SPEC_FILE]), source="upload") == spec


def test_several_gpus_get_a_process_each() -> None:
    job = render_trl(build_spec(resources={"gpus": 4}), run_id="test-1")
    assert job.module == "torch.distributed.run"
    assert job.flags[:4] == ("--standalone", "--nproc-per-node", "4", "-m")
    assert job.flags[4:] == ("rayreward.jobs.trl.train", SPEC_FILE, "--run-id", "test-1")
    assert job.gpus == 4.0
