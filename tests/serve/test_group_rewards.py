"""Rewards that compare a group, on a real cluster, asked in every way that trainers ask."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from ray import serve

from rayreward import HandleClient, HttpClient, RewardFunction, Sample
from rayreward.router.config import ServiceConfig
from rayreward.serve.cluster import EmbeddedCluster
from tests.judges.judge_server import JudgeServer, judge_server
from tests.rewards.tiny_pair import make_pair_model
from tests.serve.test_openrlhf_executor import roll_out

pytest.importorskip("torch")

pytestmark = [pytest.mark.ray, pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]

APP = "groups"
RESPONSES = ["four", "it is four", "4", "two"]
BY_LENGTH = ["4", "two", "four", "it is four"]


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeServer]:
    with judge_server() as server:
        yield server


@pytest.fixture(scope="module")
def url(cluster: EmbeddedCluster, judge: JudgeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    from rayreward.serve.app import build_app

    checkpoint = make_pair_model(tmp_path_factory.mktemp("pair"))
    shared = {"group_size": 4, "group_wait_s": 2.0, "num_replicas": 1, "ray_actor_options": {"num_cpus": 0.1}}
    asked = {"judge_model": "tiny", "base_url": judge.url, "api_key": "none", "max_tries": 1}
    rewards = [
        {"name": "pairwise", "builtin": "pairwise_judge", "args": asked, **shared},
        {"name": "listwise", "builtin": "listwise_judge", "args": asked, **shared},
        {"name": "ranker", "builtin": "pair_ranker", "args": {"model_path": str(checkpoint)}, **shared},
    ]
    policy = {"sibling_wait_s": 0.2, "answer_within_s": 6.0}
    config = ServiceConfig.parse({"rewards": rewards, "openrlhf": policy}, source="tests")
    serve.run(build_app(config), name=APP, route_prefix=f"/{APP}")
    url = f"{cluster.url}/{APP}"
    while httpx.get(f"{url}/ready").status_code != 200:  # pytest's own limit ends what never is
        threading.Event().wait(0.2)
    yield url
    serve.delete(APP)


async def rolled_out(url: str, reward: str, says: list[str], run: str) -> tuple[list[float], list[float]]:
    """Rewards of OpenRLHF's own executor, one request a sample, and whether each is valid."""
    outputs = await roll_out([f"{url}/{reward}/get_reward?run={run}"], says)
    return (
        [output["reward"][0] for output in outputs],
        [output["extra_logs"]["reward_valid"][0] for output in outputs],
    )


@pytest.mark.parametrize(("reward", "requests"), [("pairwise", 12), ("listwise", 1)])
async def test_openrlhfs_single_requests_are_judged_as_a_group(
    url: str, judge: JudgeServer, reward: str, requests: int
) -> None:
    before = judge.request_count
    rewards, valid = await rolled_out(url, reward, RESPONSES, "ppo")
    assert valid == [1.0] * 4
    assert sorted(RESPONSES, key=lambda text: rewards[RESPONSES.index(text)]) == BY_LENGTH
    assert judge.request_count - before == requests


async def test_openrlhfs_single_requests_are_ranked_by_a_pairwise_model(url: str) -> None:
    rewards, valid = await rolled_out(url, "ranker", ["four", "it is four", "four", "two"], "ppo")
    assert valid == [1.0] * 4
    assert rewards[0] == rewards[2]
    assert len(set(rewards)) == 3
    assert sum(rewards) == pytest.approx(0.0, abs=1e-4)


async def test_where_a_sibling_never_comes_the_run_goes_on_without_learning_from_it(url: str) -> None:
    scored, _ = await rolled_out(url, "listwise", RESPONSES, "lost")
    rewards, valid = await rolled_out(url, "listwise", ["four", "4", "two"], "lost")
    assert valid == [0.0] * 3
    assert len(set(rewards)) == 1
    # The prompt's valid samples: those of the first step.
    assert rewards[0] == pytest.approx(sum(scored) / 4)


async def test_the_handle_client_brings_a_group_together_whoever_asks(url: str) -> None:
    client = HandleClient(APP)
    group = [Sample(prompt="2 + 2?", response=text, group_id="g", group_size=4) for text in RESPONSES]
    alone = await asyncio.gather(*(client.ascore([sample], reward="listwise") for sample in group))
    assert [output.score for [output] in alone] == pytest.approx([0.4, 1.0, 0.1, 0.3])
    together = await client.ascore(group, reward="pairwise")
    assert [output.metadata["comparisons"] for output in together] == [3, 3, 3, 3]
    assert together[1].score > max(together[at].score or 0.0 for at in (0, 2, 3))  # type: ignore[operator]


def test_trls_siblings_are_a_group_and_may_be_fewer_than_openrlhfs(url: str) -> None:
    reward: Any = RewardFunction(name="listwise", endpoint=url, mode="remote").get_trl_adapter(run="trl")
    assert reward(prompts=["p", "q", "p", "q"], completions=["a", "bbb", "aaa", "b"]) == pytest.approx(
        [0.1, 0.3, 0.3, 0.1]
    )


async def test_native_callers_get_the_failure_itself(url: str) -> None:
    async with HttpClient(url) as client:
        [output] = await client.ascore([Sample(response="a", group_id="alone", group_size=2)], reward="listwise")
    assert output.failure is not None
    assert "group 'alone" in output.failure.message
    assert output.score is None


async def test_a_judge_that_is_gone_gives_numbers_that_are_not_valid(url: str, judge: JudgeServer) -> None:
    # The last one: after it the router leaves this reward alone for a while.
    await rolled_out(url, "pairwise", RESPONSES, "gone")
    judge.is_gone = True
    try:
        rewards, valid = await rolled_out(url, "pairwise", RESPONSES, "gone")
    finally:
        judge.is_gone = False
    assert valid == [0.0] * 4
    assert all(math.isfinite(reward) and reward > 0.0 for reward in rewards)
