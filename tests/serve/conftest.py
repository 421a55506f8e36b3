from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rayreward import HttpClient
from rayreward.router.config import ServiceConfig
from rayreward.serve.cluster import EmbeddedCluster

REWARDS = Path(__file__).with_name("served_rewards.py")

SERVICE = {
    "rewards": [
        {"name": "echo", "import_path": f"{REWARDS}::echo", "timeout_s": 2.0, "num_replicas": 1},
        {"name": "batched", "import_path": f"{REWARDS}::batched", "num_replicas": 1},
        {"name": "final_answer", "builtin": "final_answer", "num_replicas": 1},
        {"name": "slow", "import_path": f"{REWARDS}::slow", "num_replicas": 2},
    ],
    "openrlhf": {"sibling_wait_s": 0.2},
}


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(needs_dashboard=True, gpus=4) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def service(cluster: EmbeddedCluster) -> Iterator[str]:
    from ray import serve

    from rayreward.serve.app import APP_NAME, build_app

    config = ServiceConfig.parse(SERVICE, source="tests")
    serve.run(build_app(config), name=APP_NAME, route_prefix="/")
    yield cluster.url
    serve.delete(APP_NAME)


@pytest.fixture
def client(service: str) -> Iterator[HttpClient]:
    with HttpClient(service) as client:
        yield client


def app_address() -> str:
    import ray

    address: Any = ray.get_runtime_context().gcs_address
    return str(address)
