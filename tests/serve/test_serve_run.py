"""The commands that the README and Ray's users type."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from ray import serve

from rayreward.serve.cluster import EmbeddedCluster
from tests.serve.conftest import app_address

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]


def serve_run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("serve")), "run", *arguments, "--non-blocking"]
    environment = {**os.environ, "RAY_ADDRESS": app_address()}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def wait_until_running(app: str) -> None:
    """A YAML application is deployed in the background: ask until it runs, or has failed."""
    while (status := serve.status().applications[app].status) != "RUNNING":
        assert status != "DEPLOY_FAILED", serve.status().applications[app].message
        threading.Event().wait(0.2)


@pytest.fixture
def app(cluster: EmbeddedCluster) -> Iterator[str]:
    yield "typed"
    serve.delete("typed")


@pytest.mark.parametrize("target", ["deployments/", "deployments:app", "deployments:build"])
def test_serve_run_serves_the_folder(target: str, app: str, cluster: EmbeddedCluster) -> None:
    done = serve_run(target, "--name", app, "--route-prefix", "/typed")
    assert done.returncode == 0, done.stderr
    body = {"query": ["q #### 4"], "prompts": ["q "], "labels": ["4"]}
    answer = httpx.post(f"{cluster.url}/typed/final_answer/get_reward", json=body, timeout=30)
    assert answer.json()["rewards"] == [1.0]


def test_serve_run_serves_a_yaml_application_with_several_rewards(cluster: EmbeddedCluster) -> None:
    done = serve_run("deployments/application.yaml")
    assert done.returncode == 0, done.stderr
    wait_until_running("quality")
    try:
        answer = httpx.post(
            f"{cluster.url}/quality/v1/rewards/answer",
            json={"samples": [{"response": "#### 4", "label": "4"}]},
            timeout=30,
        )
        assert answer.json()["outputs"][0]["score"] == 1.0
    finally:
        serve.delete("quality")
