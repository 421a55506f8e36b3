"""Two versions of a reward on a real cluster; and one that is exchanged while it is asked."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from ray import serve

from rayreward import HandleClient, HttpClient
from rayreward.errors import RayRewardError, RolloutError
from rayreward.router.config import ServiceConfig
from rayreward.serve.cluster import EmbeddedCluster
from rayreward.types import RewardInfo
from rayreward.wire import VersionsChangeBody as Change
from tests import victims
from tests.serve.conftest import REWARDS

pytestmark = pytest.mark.ray

APP, HOT = "versioned", "hot"

PROMPTS = [{"prompt": f"p{number % 100}", "response": str(number)} for number in range(400)]


def config(log_dir: Path, **candidate: Any) -> ServiceConfig:
    candidate = {"args": {"factor": 10.0}, **candidate}
    reward = {"name": "scaled", "import_path": f"{REWARDS}::scaled", "num_replicas": 1, "candidate": candidate}
    inner = {"name": "inner", "import_path": f"{REWARDS}::scaled", "in_router": True}
    inner["candidate"] = {"args": {"factor": 5.0}, "canary_percent": 100}
    return ServiceConfig.parse({"rewards": [reward, inner], "log_dir": str(log_dir)}, source="tests")


def deploy(service: ServiceConfig) -> None:
    from rayreward.serve.app import build_app

    serve.run(build_app(service), name=APP, route_prefix=f"/{APP}")


def until(is_so: Callable[[], bool]) -> None:
    """Ask until it is so; pytest's own limit ends what never is."""
    while not is_so():
        threading.Event().wait(0.2)


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log")


@pytest.fixture(scope="module")
def url(cluster: EmbeddedCluster, log_dir: Path) -> Iterator[str]:
    deploy(config(log_dir, canary_percent=50))
    url = f"{cluster.url}/{APP}"
    until(lambda: httpx.get(f"{url}/ready").status_code == 200)
    yield url
    serve.delete(APP)


@pytest.fixture
def client(url: str) -> Iterator[HttpClient]:
    with HttpClient(url) as client:
        yield client


def change(client: HttpClient, action: Any, **shares: float) -> Any:
    from rayreward.client.sync import run_sync

    return run_sync(client.achange_versions("scaled", Change(action, **shares)))


def versions(client: HttpClient) -> Any:
    from rayreward.client.sync import run_sync

    return run_sync(client.aversions("scaled"))


class TestTwoVersions:
    """One story, in this order: a canary, a shadow, a promotion, and back."""

    def test_half_of_the_prompts_are_the_canarys_and_no_siblings_split(self, client: HttpClient) -> None:
        found = versions(client)
        outputs = client.score(PROMPTS, run="ppo")
        by_prompt: dict[str, set[str | None]] = {}
        for sample, output in zip(PROMPTS, outputs, strict=True):
            by_prompt.setdefault(sample["prompt"], set()).add(output.version)
            factor = 10.0 if output.version == found.candidate.version else 1.0
            assert output.score == float(sample["response"]) * factor
        assert all(len(met) == 1 for met in by_prompt.values())
        canaries = sum(met == {found.candidate.version} for met in by_prompt.values())
        assert 30 <= canaries <= 70
        alone = [client.score([sample], run="ppo")[0].version for sample in PROMPTS[:20]]
        assert alone == [output.version for output in outputs[:20]]

    def test_a_shadow_is_compared_logged_and_never_returned(self, client: HttpClient, log_dir: Path) -> None:
        before = change(client, "set", canary_percent=0, shadow_percent=100)
        outputs = client.score(PROMPTS[:100], run="shadowed")
        assert {output.version for output in outputs} == {before.live.version}
        until(lambda: versions(client).shadow.compared_count == 100)
        shadow = versions(client).shadow
        assert (shadow.version, shadow.failure_counts, shadow.dropped_count) == (before.candidate.version, {}, 0)
        assert shadow.mean_absolute_difference == pytest.approx(9 * 49.5)
        assert shadow.equal_share == pytest.approx(0.01), "ten times nothing is nothing"
        stats = httpx.get(f"{client._url}/v1/runs/shadowed").json()
        assert (stats["sample_count"], stats["scored"]["total"]) == (100, sum(range(100)))
        until(lambda: len(logged(log_dir, "shadowed", is_shadow=True)) == 100)
        assert len(logged(log_dir, "shadowed", is_shadow=False)) == 100
        assert {line["answered"] for line in logged(log_dir, "shadowed", is_shadow=True)} == {None}

    def test_a_promotion_survives_a_router_that_is_killed_and_is_rolled_back(self, client: HttpClient) -> None:
        before = versions(client)
        promoted = change(client, "promote")
        assert (promoted.live.version, promoted.previous.version) == (before.candidate.version, before.live.version)
        [router] = pids(APP, "router")
        os.kill(router, signal.SIGKILL)
        assert [output.score for output in client.score([{"response": "3"}])] == [30.0]
        assert pids(APP, "router") != [router]
        assert change(client, "roll_back").candidate.version == before.candidate.version
        assert [output.score for output in client.score([{"response": "3"}])] == [3.0]

    def test_a_reward_inside_the_router_has_its_candidate_there_too(self, client: HttpClient) -> None:
        assert [output.score for output in client.score([{"response": "3"}], reward="inner")] == [15.0]
        assert set(serve.status().applications[APP].deployments) == {"router", "scaled", "scaled.candidate"}

    def test_inside_the_cluster_the_handle_says_and_does_the_same(self, client: HttpClient) -> None:
        async def ask() -> None:
            handle = HandleClient(app=APP)
            assert (await handle.aversions("scaled")).live == versions(client).live
            assert (await handle.achange_versions("scaled", Change("set", shadow_percent=1))).shadow_percent == 1
            with pytest.raises(RolloutError, match="nothing can be rolled back"):
                await handle.achange_versions("scaled", Change("roll_back"))

        asyncio.run(ask())

    def test_the_same_configuration_again_keeps_the_promotion_and_another_one_starts_afresh(
        self, client: HttpClient, log_dir: Path
    ) -> None:
        promoted = change(client, "promote").live.version
        deploy(config(log_dir, canary_percent=50))
        until(lambda: versions(client).live.version == promoted)
        deploy(config(log_dir, canary_percent=20))
        until(lambda: versions(client).canary_percent == 20)
        assert versions(client).previous is None


def logged(log_dir: Path, run: str, *, is_shadow: bool) -> list[dict[str, Any]]:
    lines = [line for path in log_dir.glob("*.jsonl") for line in path.read_text().splitlines()]
    return [line for line in map(json.loads, lines) if line["run"] == run and line["is_shadow"] is is_shadow]


def pids(app: str, deployment: str) -> list[int]:
    return [process.pid for process in victims.replicas(deployment, app=app)]


class Hot:
    """An application that Serve is told of as a document, as ``serve deploy`` does."""

    def __init__(self, cluster: EmbeddedCluster) -> None:
        self.url, self._api = f"{cluster.url}/{HOT}", f"{cluster.dashboard_url}/api/serve/applications/"

    def deploy(self, **args: Any) -> None:
        reward = {"name": "scaled", "import_path": f"{REWARDS}::scaled", "num_replicas": 2}
        application = {
            "name": HOT,
            "route_prefix": f"/{HOT}",
            "import_path": "rayreward.serve:build",
            "args": {"rewards": [reward]},
            "deployments": [{"name": "scaled", "user_config": {"args": args}}],
        }
        httpx.put(self._api, json={"applications": [application]}, timeout=60).raise_for_status()

    def info(self) -> RewardInfo | None:
        try:
            with HttpClient(self.url, timeout_s=5) as client:
                return client.rewards()[0]
        except RayRewardError:
            return None  # it is being started

    @asynccontextmanager
    async def asked(self, caller_count: int) -> AsyncIterator[list[tuple[float, Any]]]:
        """Callers that ask and ask until this is left; what they asked, and what they were told."""
        told: list[tuple[float, Any]] = []
        is_over = False

        async def ask(client: HttpClient, caller: int) -> None:
            while not is_over:
                responses = [float(caller + number) for number in range(4)]
                outputs = await client.ascore([{"response": str(one)} for one in responses])
                told.extend(zip(responses, outputs, strict=True))

        async with HttpClient(self.url) as client, asyncio.TaskGroup() as callers:
            for caller in range(caller_count):
                callers.create_task(ask(client, caller))
            yield told
            is_over = True


@pytest.fixture(scope="module")
def hot(cluster: EmbeddedCluster) -> Iterator[Hot]:
    hot = Hot(cluster)
    hot.deploy(factor=2.0)
    until(lambda: (info := hot.info()) is not None and info.state == "ready")
    yield hot
    serve.delete(HOT)


async def test_a_reward_reloaded_under_load_loses_no_call_and_replaces_no_replica(hot: Hot) -> None:
    replicas = pids(HOT, "scaled")
    async with hot.asked(8) as told:
        while len(told) < 100:  # noqa: ASYNC110 - callers have no event to tell of
            await asyncio.sleep(0.05)
        first = told[0][1].version
        await asyncio.to_thread(hot.deploy, factor=3.0)
        while [output.version for _, output in told[-200:]].count(first):  # noqa: ASYNC110 - until both replicas have it
            await asyncio.sleep(0.05)
    assert {output.version for _, output in told} == {first, told[-1][1].version}
    assert all(output.score == asked * (2.0 if output.version == first else 3.0) for asked, output in told)
    assert pids(HOT, "scaled") == replicas
    until(lambda: hot.info().version == told[-1][1].version)


async def test_a_configuration_that_cannot_load_leaves_the_reward_serving_and_says_so(hot: Hot) -> None:
    version = hot.info().version
    await asyncio.to_thread(hot.deploy, fcator=4.0)
    await asyncio.to_thread(until, lambda: "reload_failure" in hot.info().extra)
    info = hot.info()
    assert (info.state, info.version) == ("ready", version)
    assert "fcator" in info.extra["reload_failure"]
    async with HttpClient(hot.url) as client:
        outputs = await client.ascore([{"response": "2"} for _ in range(8)])
    assert {(output.score, output.version) for output in outputs} == {(6.0, version)}
    await asyncio.to_thread(hot.deploy, factor=3.0)
    await asyncio.to_thread(until, lambda: "reload_failure" not in hot.info().extra)
