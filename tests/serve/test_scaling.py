"""Replicas that come and go, with Serve's own controller: bursts, sleep, and wishes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from ray import serve

from rayreward import HandleClient, HttpClient
from rayreward.errors import InvalidInputError
from rayreward.router.config import ServiceConfig
from rayreward.router.stats import LaneStats, RouterStats
from rayreward.serve.cluster import EmbeddedCluster

pytestmark = pytest.mark.ray

APP = "scaling"
REWARDS = Path(__file__).with_name("served_rewards.py")
SCALING = {"max_replicas": 3, "downscale_delay_s": 2.0}
SLOW = {"import_path": f"{REWARDS}::slow", "isolation": "inline", "max_batch_samples": 4, "max_ongoing_requests": 1}
SERVICE = {
    "rewards": [
        {**SLOW, "name": "sleeper", "autoscaling_config": {**SCALING, "min_replicas": 0}},
        {**SLOW, "name": "fixed", "num_replicas": 1},
        {**SLOW, "name": "patient", "import_path": f"{REWARDS}::patient", "autoscaling_config": SCALING},
    ]
}


@pytest.fixture(scope="module")
def url(cluster: EmbeddedCluster) -> Iterator[str]:
    from rayreward.serve.app import build_app

    serve.run(build_app(ServiceConfig.parse(SERVICE, source="tests")), name=APP, route_prefix=f"/{APP}")
    eventually(lambda: httpx.get(f"{cluster.url}/{APP}/ready").status_code == 200)
    yield f"{cluster.url}/{APP}"
    serve.delete(APP)


@pytest.fixture
def client(url: str) -> Iterator[HttpClient]:
    with HttpClient(url) as client:
        yield client


def eventually(is_so: Callable[[], bool], *, limit_s: float = 60.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < deadline_s, "it has not come to be"
        time.sleep(0.1)


def running(reward: str = "sleeper") -> int:
    states = serve.status().applications[APP].deployments[reward].replica_states
    return sum(count for state, count in states.items() if state == "RUNNING")


def state(client: HttpClient, reward: str = "sleeper") -> tuple[str, int]:
    [info] = [info for info in client.rewards() if info.name == reward]
    return info.state, info.replicas


def stats(reward: str) -> LaneStats:
    found: RouterStats = serve.get_app_handle(APP).stats.remote().result()
    [lane] = [lane for lane in found.lanes if lane.reward == reward]
    return lane


def controller_log(cluster: EmbeddedCluster) -> str:
    return "".join(path.read_text() for path in Path(cluster.folder).glob("session_2*/logs/serve/controller_*.log"))


def test_a_reward_that_may_sleep_starts_asleep_and_the_service_is_ready_all_the_same(client: HttpClient) -> None:
    eventually(lambda: state(client) == ("idle", 0))
    eventually(lambda: state(client, "fixed") == ("ready", 1))
    assert running() == 0


def test_its_first_samples_wait_and_are_scored_when_it_is_awake(client: HttpClient) -> None:
    outputs = client.score([{"response": str(number)} for number in range(3)], reward="sleeper")
    assert [output.score for output in outputs] == [0.0, 1.0, 2.0]
    eventually(lambda: state(client)[0] == "ready")


async def test_a_burst_brings_replicas_and_the_log_says_why(url: str, cluster: EmbeddedCluster) -> None:
    async with HttpClient(url) as client:
        # 0.2 s a call of 4 samples: half a minute for one replica.
        burst = asyncio.create_task(client.ascore([{"response": str(n)} for n in range(600)], reward="sleeper"))
        await asyncio.to_thread(eventually, lambda: running() == 3)
        assert [output.score for output in await burst] == [float(number) for number in range(600)]
    assert "reward 'sleeper' of application 'scaling': scaled to 3: " in controller_log(cluster)


def test_when_nothing_is_asked_for_it_goes_to_sleep_again(client: HttpClient, cluster: EmbeddedCluster) -> None:
    eventually(lambda: running() == 0)
    eventually(lambda: state(client) == ("idle", 0))
    assert "scaled to 0: nothing was asked for within the last 2 s" in controller_log(cluster)


def test_a_wish_brings_replicas_without_a_sample_until_it_is_taken_back(client: HttpClient) -> None:
    granted = client.prescale("sleeper", 2, for_s=60.0)
    assert (granted.asked, granted.granted, granted.min_replicas, granted.max_replicas) == (2, 2, 0, 3)
    assert state(client)[0] == "starting"
    eventually(lambda: running() == 2)
    eventually(lambda: state(client) == ("ready", 2))
    assert client.prescale("sleeper", 0, for_s=1.0).granted == 0
    eventually(lambda: running() == 0, limit_s=30.0)  # half of what was wished for


async def test_samples_that_wait_behind_a_call_which_takes_long_bring_a_replica_that_scores_them(url: str) -> None:
    async with HttpClient(url) as client:
        long = asyncio.create_task(client.ascore([{"response": "300"}], reward="patient"))
        await asyncio.to_thread(eventually, lambda: stats("patient").in_flight_count == 1)
        outputs = await client.ascore([{"response": "0.01"}] * 8, reward="patient", timeout_s=60.0)
        assert [output.score for output in outputs] == [0.01] * 8
        assert not long.done()
        assert running("patient") > 1
        long.cancel()
        await asyncio.gather(long, return_exceptions=True)
    await asyncio.to_thread(eventually, lambda: stats("patient").in_flight_count == 0)


async def test_a_fixed_number_of_replicas_is_an_answer_by_handle_and_over_http(url: str) -> None:
    async with HttpClient(url) as http, HandleClient(APP) as handle:
        for client in (http, handle):
            with pytest.raises(InvalidInputError, match="num_replicas: 1"):
                await client.aprescale("fixed", 2, for_s=60.0)
