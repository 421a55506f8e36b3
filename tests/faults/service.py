"""The service that is broken, and who asks it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from rayreward import HandleClient, HttpClient
from rayreward.client.trainer import TrainerClient
from rayreward.router.config import ServiceConfig
from rayreward.serve.cluster import EmbeddedCluster, free_port
from tests.faults.load import Caller, NativeCaller, OpenRLHFCaller, TrainerCaller

REWARDS = Path(__file__).with_name("served_rewards.py")

REQUEST_WITHIN_S = 3.0
"""Short, so that nobody waits for the default's two minutes."""


def service_of(port: int, **steady: Any) -> dict[str, Any]:
    return {
        "rewards": [
            {"name": "steady", "import_path": f"{REWARDS}::steady", "num_replicas": 2, **steady},
            {"name": "thirds", "import_path": f"{REWARDS}::thirds", "num_replicas": 1},
            {"name": "hanging", "import_path": f"{REWARDS}::hanging", "num_replicas": 1, "timeout_s": 1.0},
            {"name": "patient", "import_path": f"{REWARDS}::patient", "num_replicas": 1},
        ],
        "listen": {"port": port, "request_within_s": REQUEST_WITHIN_S},
    }


class Service:
    """The service under test.

    Attributes:
        url: of Serve's proxy.
        fast_url: of the router's own port.
        port: that one.
    """

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.url = cluster.url
        self.port = free_port("127.0.0.1")
        self.fast_url = f"http://127.0.0.1:{self.port}"

    def deploy(self, **steady: Any) -> None:
        """Deploy it, or deploy it again with another configuration of `steady`."""
        from ray import serve

        from rayreward.serve.app import APP_NAME, build_app

        serve.run(build_app(ServiceConfig.parse(service_of(self.port, **steady), source="tests")), name=APP_NAME)

    def is_whole(self) -> bool:
        """Whether every replica runs and the router's own port answers."""
        from ray import serve

        try:
            app = serve.status().applications["rewards"]
            is_up = all(
                deployment.status == "HEALTHY" and sum(deployment.replica_states.values()) == wanted(name)
                for name, deployment in app.deployments.items()
            )
            return is_up and all(httpx.get(f"{url}/ready").status_code == 200 for url in (self.url, self.fast_url))
        except (httpx.TransportError, RayError, RayServeException, KeyError):  # something has just died
            return False

    async def becomes_whole(self, within_s: float = 120.0) -> None:
        """Until it is whole, however often that must be asked."""
        async with asyncio.timeout(within_s):
            while not await asyncio.to_thread(self.is_whole):  # noqa: ASYNC110 - Serve announces nothing
                await asyncio.sleep(0.2)

    def callers(self, reward: str, *, transports: tuple[str, ...] = ()) -> list[Caller]:
        """A caller of each transport, or of those named."""
        route = f"{reward}/get_reward?run={reward}"
        known: dict[str, Callable[[str], Caller]] = {
            "http own port": lambda name: NativeCaller(name, HttpClient(self.fast_url), reward),
            "msgpack own port": lambda name: NativeCaller(name, HttpClient(self.fast_url, format="msgpack"), reward),
            "http proxy": lambda name: NativeCaller(name, HttpClient(self.url), reward),
            "handle": lambda name: NativeCaller(name, HandleClient("rewards"), reward),
            "trainer": lambda name: TrainerCaller(name, TrainerClient("rewards", reward=reward, run="trainer")),
            "openrlhf own port": lambda name: OpenRLHFCaller(name, f"{self.fast_url}/{route}"),
            "openrlhf proxy": lambda name: OpenRLHFCaller(name, f"{self.url}/{route}"),
        }
        return [known[name](name) for name in transports or known]


def wanted(deployment: str) -> int:
    return 2 if deployment == "steady" else 1
