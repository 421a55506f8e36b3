from pathlib import Path
from typing import Any

import httpx
import pytest

from rayreward.jobs.preflight.cluster import Dashboard, Node, check_loopback, read_ray_token, rollout_nodes

HEAD = Node("a", "10.0.0.1", {"CPU": 8.0}, {"CPU": 8.0})
WORKER = Node("b", "10.0.0.2", {"CPU": 8.0, "GPU": 4.0}, {"CPU": 8.0, "GPU": 4.0})
LOOPBACK = "http://localhost:8000/get_reward"


def dashboard(**bodies: Any) -> Dashboard:
    """Answers by the last part of the path; anything else is not there."""

    def answer(request: httpx.Request) -> httpx.Response:
        body = bodies.get(request.url.path.rstrip("/").rpartition("/")[2])
        return httpx.Response(404) if body is None else httpx.Response(200, json=body)

    return Dashboard("http://head:8265/", httpx.Client(transport=httpx.MockTransport(answer)))


def listed(node_id: str, state: str = "ALIVE", **total: float) -> dict[str, Any]:
    return {"node_id": node_id, "node_ip": f"ip-{node_id}", "state": state, "resources_total": total}


def nodes_body(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"result": {"result": [*nodes]}}}


def usage_body(usage: Any) -> dict[str, Any]:
    return {"data": {"clusterStatus": {"loadMetricsReport": {"usageByNode": usage}}}}


def test_what_is_free_is_what_nobody_uses_by_node() -> None:
    usage = {"a": {"CPU": [2.0, 8.0], "GPU": [1.0, 4.0], "objectStoreMemory": [5.0, 9.0]}}
    nodes = nodes_body(listed("a", CPU=8.0, GPU=4.0, my_disk=1.0), listed("b", "DEAD", CPU=64.0))

    (node,) = dashboard(nodes=nodes, cluster_status=usage_body(usage)).read_nodes() or []

    assert node == Node("a", "ip-a", {"CPU": 8.0, "GPU": 4.0, "my_disk": 1.0}, {"CPU": 6.0, "GPU": 3.0, "my_disk": 1.0})


@pytest.mark.parametrize("usage", [None, {}, "soon"])
def test_a_cluster_that_does_not_report_its_usage_yet_uses_nothing(usage: Any) -> None:
    (node,) = dashboard(nodes=nodes_body(listed("a", GPU=4.0)), cluster_status=usage_body(usage)).read_nodes() or []

    assert node.free == {"GPU": 4.0}


def test_a_dashboard_that_answers_otherwise_says_nothing() -> None:
    silent = dashboard(nodes={"data": None}, version=[1])

    assert (silent.read_nodes(), silent.read_ray_version(), silent.read_serve()) == (None, None, None)


def test_version_and_applications_are_as_the_dashboard_tells() -> None:
    asked = dashboard(version={"ray_version": "2.55.0"}, applications={"applications": {}})

    assert (asked.read_ray_version(), asked.read_serve()) == ("2.55.0", {"applications": {}})


def test_rollouts_run_where_gpus_are() -> None:
    assert rollout_nodes([HEAD, WORKER]) == [WORKER]
    assert rollout_nodes([HEAD]) == [HEAD]


def test_a_loopback_url_is_fine_on_one_machine_or_with_a_proxy_on_every_node() -> None:
    proxies = {"proxies": {"b": {"status": "HEALTHY"}}}

    assert list(check_loopback([LOOPBACK], [WORKER], None)) == []
    assert list(check_loopback([LOOPBACK], [HEAD, WORKER], proxies)) == []
    assert list(check_loopback(["http://10.0.0.1:8000/get_reward"], [HEAD, WORKER], None)) == []


@pytest.mark.parametrize("serve", [None, {}, {"proxies": {"b": {"status": "UNHEALTHY"}}}])
def test_a_loopback_url_is_found_otherwise(serve: Any) -> None:
    (finding,) = check_loopback([LOOPBACK], [HEAD, WORKER], serve)

    assert "10.0.0.2 would ask there in vain" in finding.found


def test_the_token_comes_from_where_ray_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    (tmp_path / "token").write_text("from-file\n")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert read_ray_token() == {}

    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert read_ray_token() == {"Authorization": "Bearer from-file"}

    monkeypatch.setenv("RAY_AUTH_TOKEN", "from-environment")
    assert read_ray_token() == {"Authorization": "Bearer from-environment"}
