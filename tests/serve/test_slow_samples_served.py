"""A slow sample and its neighbours through the real service."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray import serve

from rayreward import HandleClient, HttpClient, Sample
from rayreward.client.trainer import TrainerClient
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import build_app
from rayreward.serve.cluster import EmbeddedCluster
from rayreward.types import RewardOutput
from tests.processes import is_gone
from tests.router.stages import said
from tests.serve.waiting import begun

pytestmark = pytest.mark.ray

REWARDS = Path(__file__).with_name("slow_rewards.py")
LONG_S = 120.0
HEALTHY = 63


@pytest.fixture(scope="module")
def url(cluster: EmbeddedCluster) -> Iterator[str]:
    rewards = [
        {"name": "slow", "import_path": f"{REWARDS}::waits", "timeout_s": LONG_S, "num_replicas": 1},
        {"name": "waiting", "import_path": f"{REWARDS}::waits_async", "isolation": "inline", "timeout_s": LONG_S},
        {
            "name": "apart",
            "parts": [
                {"name": "own", "import_path": f"{REWARDS}::waits"},
                {"name": "asked", "import_path": f"{REWARDS}::at_once", "weight": 0.0},
            ],
            "timeout_s": LONG_S,
        },
        {"name": "spread", "import_path": f"{REWARDS}::waits", "timeout_s": LONG_S, "num_replicas": 3},
    ]
    config = ServiceConfig.parse({"rewards": rewards}, source="tests")
    serve.run(build_app(config), name="slow_samples", route_prefix="/slow_samples")
    yield f"{cluster.url}/slow_samples"
    serve.delete("slow_samples")


def ask(client: HttpClient, response: str, reward: str = "slow") -> asyncio.Task[list[RewardOutput]]:
    return asyncio.create_task(client.ascore([{"response": response}], reward=reward))


@pytest.mark.parametrize("reward", ["slow", "spread"])
async def test_a_slow_sample_holds_up_nobody(url: str, tmp_path: Path, reward: str) -> None:
    file = tmp_path / "go"
    async with HttpClient(url) as client:
        slow = ask(client, f"until {file}", reward)
        healthy = [ask(client, "a" * size, reward) for size in range(HEALTHY)]
        found = await asyncio.gather(*healthy)
        assert [said(outputs) for outputs in found] == [[float(size)] for size in range(HEALTHY)]
        await begun(file)
        assert said(await ask(client, "later", reward)) == [5.0]
        assert not slow.done()
        file.touch()
        assert said(await slow) == [float(len(f"until {file}"))]
        assert len(await begun(file)) == 1, "it was asked for where it was being scored"


async def test_more_slow_ones_than_calls_are_taken_at_once_hold_up_nobody(url: str, tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(5)]
    async with HttpClient(url) as client:
        slow = [ask(client, f"until {file}") for file in files]
        for file in files:
            await begun(file)
        assert said(await ask(client, "aa")) == [2.0]
        assert not any(task.done() for task in slow)
        for file in files:
            file.touch()
        assert [said(outputs) for outputs in await asyncio.gather(*slow)] == [[float(len(f"until {f}"))] for f in files]
        assert [len(await begun(file)) for file in files] == [1] * len(files)


async def test_when_its_replica_dies_the_slow_sample_is_scored_by_the_next(url: str, tmp_path: Path) -> None:
    file = tmp_path / "never"
    async with HttpClient(url) as client:
        slow = ask(client, f"until {file} once")
        [first] = await begun(file)
        assert said(await ask(client, "a")) == [1.0]
        assert not slow.done()
        os.kill(replica_of(first), signal.SIGKILL)
        assert said(await slow) == [float(len(f"until {file} once"))]
        assert await is_gone(first)
        assert len(await begun(file)) == 2


async def test_a_caller_that_leaves_takes_its_slow_sample_along(url: str, tmp_path: Path) -> None:
    file = tmp_path / "never"
    async with HttpClient(url) as client:
        [late] = await client.ascore([{"response": f"until {file}"}], reward="slow", timeout_s=2.0)
        assert said([late]) == ["timeout"]
        assert await is_gone((await begun(file))[0])
        assert said(await ask(client, "a")) == [1.0]


@pytest.mark.parametrize("reward", ["slow", "apart", "waiting"])
async def test_in_the_cluster_slow_samples_hold_up_none_that_travel_with_them_or_come_after(
    url: str, tmp_path: Path, reward: str
) -> None:
    """More of them than a client has calls under way."""
    files = [tmp_path / str(number) for number in range(4)]
    async with HandleClient("slow_samples") as client:
        first = client.ascore([{"response": "b" * 3}, {"response": f"until {files[0]}"}], reward=reward)
        slow = [asyncio.create_task(first)]
        for file in files[1:]:
            slow.append(asyncio.create_task(client.ascore([{"response": f"until {file}"}], reward=reward)))
            await begun(file)
        healthy = [asyncio.create_task(client.ascore([{"response": "a" * size}], reward=reward)) for size in range(64)]
        assert [said(outputs) for outputs in await asyncio.gather(*healthy)] == [[float(size)] for size in range(64)]
        assert not any(task.done() for task in slow)
        for file in files:
            file.touch()
        found = [outputs[-1].score for outputs in await asyncio.gather(*slow)]
        assert found == [float(len(f"until {file}")) for file in files]
        assert [len(await begun(file)) for file in files] == [1] * len(files)


async def test_an_agent_of_openrlhf_is_not_held_up_by_another_ones_slow_sample(url: str, tmp_path: Path) -> None:
    file = tmp_path / "go"
    client = TrainerClient("slow_samples", reward="slow", run="ppo")
    slow = asyncio.create_task(client.answer([Sample(response=f"until {file}")]))
    quick = [asyncio.create_task(client.answer([Sample(response="a" * size)])) for size in range(1, 64)]
    assert [answer.reward for [answer] in await asyncio.gather(*quick)] == [float(size) for size in range(1, 64)]
    assert not slow.done()
    file.touch()
    assert [answer.reward for answer in await slow] == [float(len(f"until {file}"))]


async def test_what_a_client_no_longer_waits_for_is_given_up(url: str, tmp_path: Path) -> None:
    file = tmp_path / "never"
    async with HandleClient("slow_samples") as client:
        [late] = await client.ascore([{"response": f"until {file}"}], reward="slow", timeout_s=2.0)
        assert said([late]) == ["timeout"]
        assert await is_gone((await begun(file))[0])
        other = tmp_path / "neither"
        leaving = asyncio.create_task(client.ascore([{"response": f"until {other}"}], reward="slow"))
        [scorer] = await begun(other)
        leaving.cancel()
        assert await is_gone(scorer)


def replica_of(scorer: int) -> int:
    """The replica of a process that scores: it has started the one that forked that."""
    zygote = parent_of(scorer)
    return parent_of(zygote)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
