"""One cluster for all faults, and a service that is whole again before each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from rayreward.router.config import ServiceConfig
from rayreward.serve.cluster import EmbeddedCluster, free_port
from tests.faults.service import REWARDS, Service


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def deployed(cluster: EmbeddedCluster) -> Service:
    service = Service(cluster)
    service.deploy()
    return service


@pytest.fixture
async def service(deployed: Service) -> Service:
    await deployed.becomes_whole()
    return deployed


@dataclass(frozen=True)
class Narrow:
    """A service that scores 80 samples a second, and lets in eight at once."""

    url: str
    fast_url: str


@pytest.fixture(scope="session")
def narrow(cluster: EmbeddedCluster) -> Narrow:
    from ray import serve

    from rayreward.serve.app import build_app

    reward = {
        "name": "narrow", "import_path": f"{REWARDS}::narrow", "num_replicas": 1, "max_ongoing_requests": 1,
        "max_batch_samples": 4,
    }  # fmt: skip
    port = free_port("127.0.0.1")
    config = {"rewards": [reward], "listen": {"port": port}, "admission": {"total": {"max_samples": 8}}}
    serve.run(build_app(ServiceConfig.parse(config, source="tests")), name="narrow", route_prefix="/narrow")
    return Narrow(f"{cluster.url}/narrow", f"http://127.0.0.1:{port}")
