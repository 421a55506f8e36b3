"""Replicas whose model is lost: a device has failed, and the process goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ray import serve

from rayreward import HttpClient, RewardOutput
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import build_app
from rayreward.serve.cluster import EmbeddedCluster
from tests import victims

pytestmark = pytest.mark.ray

APP = "lost"
REPLICAS = 2


@pytest.fixture
def url(cluster: EmbeddedCluster, tmp_path: Path) -> Iterator[str]:
    reward = {
        "name": "modelled", "import_path": f"{Path(__file__).with_name('lost_rewards.py')}::Modelled",
        "args": {"folder": str(tmp_path)}, "num_replicas": REPLICAS, "max_batch_samples": 4,
    }  # fmt: skip
    serve.run(build_app(ServiceConfig.parse({"rewards": [reward]}, source="tests")), name=APP, route_prefix=f"/{APP}")
    yield f"{cluster.url}/{APP}"
    serve.delete(APP)


def running() -> list[psutil.Process]:
    return victims.replicas("modelled", app=APP)


async def said_by(client: HttpClient, *responses: str) -> list[RewardOutput]:
    """What each is answered in a request of its own."""
    found = await asyncio.gather(*(client.ascore([{"response": response}]) for response in responses))
    return [outputs[0] for outputs in found]


async def test_a_lost_model_costs_nobody_a_sample(url: str, tmp_path: Path) -> None:
    before = running()
    async with HttpClient(url) as client:
        outputs = await said_by(client, *["a"] * 40, f"break {tmp_path / 'once'}", *["b"] * 200)
        outputs += await said_by(client, *["c"] * 200)
    assert [output.failure for output in outputs if not output.is_valid] == []
    gone, _ = await asyncio.to_thread(psutil.wait_procs, before, timeout=0)
    assert len(gone) == 1


async def test_where_it_was_the_only_one_its_samples_wait_for_the_next(url: str, tmp_path: Path) -> None:
    before = running()
    async with HttpClient(url) as client:
        outputs = await said_by(client, *[f"break {tmp_path / str(number)}" for number in range(REPLICAS)])
    assert all(output.is_valid for output in outputs)
    assert len({output.score for output in outputs} & {float(one.pid) for one in before}) < REPLICAS


async def test_a_sample_that_loses_every_model_fails_after_the_second(url: str) -> None:
    before = running()
    async with HttpClient(url) as client:
        [poisoned] = await said_by(client, "poison")
        assert poisoned.failure is not None
        assert (poisoned.failure.kind, "CUDA error" in poisoned.failure.message) == ("unavailable", True)
        assert len(psutil.wait_procs(before, timeout=10.0)[0]) == REPLICAS
        [healthy] = await said_by(client, "a")
        assert healthy.is_valid


async def test_one_that_is_lost_at_rest_is_replaced_before_anybody_asks_it(url: str, tmp_path: Path) -> None:
    lost = running()[0]
    (tmp_path / str(lost.pid)).touch()
    await asyncio.to_thread(lost.wait, 60)
    async with HttpClient(url) as client:
        outputs = await said_by(client, *["a"] * 100)
    assert all(output.is_valid for output in outputs)
