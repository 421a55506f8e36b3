"""A real cluster of one node; what a node finds there, and what is said of one that does not answer."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.preflight import Finding, check_from_cluster, preflight
from rayreward.jobs.preflight.cluster import Node
from rayreward.jobs.preflight.cluster_side import Errand, ask_nodes, list_nodes
from rayreward.jobs.render import RenderedJob
from rayreward.router.config import ServiceConfig
from rayreward.serve.cluster import EmbeddedCluster
from tests.jobs.conftest import build_spec
from tests.jobs.preflight.world import World

pytestmark = pytest.mark.ray

REWARDS = Path(__file__).with_name("probed_rewards.py")

SERVICE = {
    "rewards": [
        {"name": "right", "import_path": f"{REWARDS}::right", "num_replicas": 1},
        {"name": "broken", "import_path": f"{REWARDS}::broken", "num_replicas": 1},
    ],
    "openrlhf": {"sibling_wait_s": 0.1},
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    """A cluster that serves."""
    with EmbeddedCluster(gpus=2, needs_dashboard=True) as cluster:
        from ray import serve

        from rayreward.serve.app import APP_NAME, build_app

        config = ServiceConfig.parse(SERVICE, source="tests")
        serve.run(build_app(config), name=APP_NAME, route_prefix="/")
        yield cluster


@pytest.fixture
def url(cluster: EmbeddedCluster) -> str:
    """Of its door."""
    return cluster.url


@pytest.fixture
def sections(url: str, tmp_path: Path) -> dict[str, Any]:
    """A training with good files; who scores it is left open."""
    return World(tmp_path).sections | {"reward": {}}


def job_of(spec: OpenRLHFSpec) -> RenderedJob:
    urls = tuple(f"{url}?run=r" for url in spec.reward.urls)
    return RenderedJob("test", "r", ("python",), {}, reward_urls=urls)


def check(spec: OpenRLHFSpec) -> list[Finding]:
    return check_from_cluster(spec, job_of(spec))


@pytest.mark.openrlhf
def test_what_a_real_dashboard_tells_is_understood(sections: dict[str, Any], cluster: EmbeddedCluster) -> None:
    good, misnamed = (build_spec(**sections | {"reward": {"name": name}}) for name in ("right", "rihgt"))
    too_large = build_spec(**sections | {"reward": {"name": "right"}, "resources": {"vllm": {"engines": 3}}})

    assert preflight(good, job_of(good), dashboard_url=cluster.dashboard_url) == []
    with pytest.raises(ConfigError, match=r"has no reward 'rihgt'; correct reward\.name; did you mean 'right'"):
        preflight(misnamed, job_of(misnamed), dashboard_url=cluster.dashboard_url)
    with pytest.raises(ConfigError, match=r"the plan takes 4 GPUs, and 2 are in the whole cluster"):
        preflight(too_large, job_of(too_large), dashboard_url=cluster.dashboard_url)


def test_a_good_reward_is_scored_from_its_node_through_ray(sections: dict[str, Any]) -> None:
    assert check(build_spec(**sections | {"reward": {"name": "right"}})) == []


def test_a_good_reward_is_scored_from_its_node_over_http(sections: dict[str, Any], url: str) -> None:
    assert check(build_spec(**sections | {"reward": {"url": f"{url}/right/get_reward"}})) == []


@pytest.mark.parametrize("transport", ["http", "handle"])
def test_why_a_reward_fails_is_told_with_the_node(sections: dict[str, Any], url: str, transport: str) -> None:
    reward = {"name": "broken"} if transport == "handle" else {"url": f"{url}/broken/get_reward"}

    (finding,) = check(build_spec(**sections | {"reward": reward}))

    (node,) = list_nodes(build_spec())
    assert finding.found.startswith(f"on {node.ip}: ")
    assert "scored none of 5 real prompts: error: " in finding.found
    assert "'answer'" in finding.found


@pytest.mark.parametrize(
    ("reward", "expected"),
    [
        ({"name": "rihgt"}, "no reward 'rihgt' is served here"),
        ({"app": "other"}, "the Serve application 'other' does not run"),
    ],
)
def test_a_reward_that_is_not_there_is_told(sections: dict[str, Any], reward: dict[str, str], expected: str) -> None:
    (finding,) = check(build_spec(**sections | {"reward": reward}))

    assert expected in finding.found


def test_a_node_that_lacks_the_files_says_so(sections: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").unlink()
    (tmp_path / "model" / "model.safetensors").unlink()

    findings = check(build_spec(**sections | {"reward": {"name": "right"}}))

    assert [finding.check for finding in findings if not finding.is_warning] == ["model", "prompts"]


def look_in_vain(errand: Errand) -> list[Finding]:
    time.sleep(600)
    return []


def look_and_raise(errand: Errand) -> list[Finding]:
    raise ModuleNotFoundError("No module named 'rayreward'")


def test_a_node_that_does_not_answer_is_a_finding(url: str) -> None:
    spec = build_spec()
    started_s = time.monotonic()

    (finding,) = ask_nodes(list_nodes(spec), look_in_vain, Errand(spec, (), (), {}), limit_s=1.0)

    assert "no answer within 1 s" in finding.found
    assert time.monotonic() - started_s < 30


def test_a_node_without_this_package_is_a_finding(url: str) -> None:
    spec = build_spec()

    (finding,) = ask_nodes(list_nodes(spec), look_and_raise, Errand(spec, (), (), {}), limit_s=60.0)

    assert "No module named 'rayreward'" in finding.found
    assert "install rayreward on every node" in finding.remedy


def test_a_node_that_has_just_left_is_a_finding(url: str) -> None:
    spec = build_spec()
    gone = Node("ab" * 28, "10.9.9.9", {}, {})

    (finding,) = ask_nodes([gone], look_and_raise, Errand(spec, (), (), {}), limit_s=60.0)

    assert finding.found.startswith("on 10.9.9.9: nothing can be run there")
