"""Calls that each fill a replica, with Serve's own routing below."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray import serve

from rayreward import HttpClient
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import build_app
from rayreward.serve.cluster import EmbeddedCluster
from tests.router.stages import said
from tests.serve.waiting import begun

pytestmark = pytest.mark.ray

REPLICAS = 4
REWARD = {
    "name": "filled", "import_path": f"{Path(__file__).with_name('slow_rewards.py')}::waits", "isolation": "thread",
    "num_replicas": REPLICAS, "max_batch_samples": 1, "timeout_s": 120.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def url(cluster: EmbeddedCluster) -> Iterator[str]:
    config = ServiceConfig.parse({"rewards": [REWARD]}, source="tests")
    serve.run(build_app(config), name="filled", route_prefix="/filled")
    yield f"{cluster.url}/filled"
    serve.delete("filled")


async def test_as_many_calls_as_replicas_are_one_for_each_whichever_are_at_work(url: str, tmp_path: Path) -> None:
    async with HttpClient(url) as client:

        async def wait_for(name: str) -> tuple[asyncio.Task[object], Path, int]:
            file = tmp_path / name
            task = asyncio.create_task(client.ascore([{"response": f"until {file}"}]))
            [pid] = await begun(file)
            return task, file, pid

        for step in range(5):
            at_work = [await wait_for(f"{step}-{number}") for number in range(REPLICAS)]
            assert len({pid for _, _, pid in at_work}) == REPLICAS
            for task, file, _ in at_work:
                file.touch()
                assert said(await task) == [float(len(f"until {file}"))]  # type: ignore[arg-type]
