"""Prompts that belong to replicas, with Serve's own routing."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from ray import serve

from rayreward import HttpClient
from rayreward.router.config import ServiceConfig
from rayreward.serve.cluster import EmbeddedCluster

pytestmark = pytest.mark.ray

APP = "affinity"
REWARDS = Path(__file__).with_name("served_rewards.py")
AIMED = {"import_path": f"{REWARDS}::process", "isolation": "inline", "prompt_affinity": True}
SERVICE = {
    "rewards": [
        {**AIMED, "name": "pid", "num_replicas": 3},
        {**AIMED, "name": "sleeper", "autoscaling_config": {"min_replicas": 0, "max_replicas": 2}},
    ]
}
PROMPT_COUNT, SIBLING_COUNT = 60, 8


@pytest.fixture(scope="module")
def url(cluster: EmbeddedCluster) -> Iterator[str]:
    from rayreward.serve.app import build_app

    serve.run(build_app(ServiceConfig.parse(SERVICE, source="tests")), name=APP, route_prefix=f"/{APP}")
    until_all_are_known(f"{cluster.url}/{APP}")
    yield f"{cluster.url}/{APP}"
    serve.delete(APP)


def until_all_are_known(url: str, *, limit_s: float = 60.0) -> None:
    """Serve tells the router who runs a moment after it has started them."""
    deadline_s = time.monotonic() + limit_s
    while len(set().union(*asyncio.run(ask(url, sibling_count=1)).values())) < 3:
        assert time.monotonic() < deadline_s, "not all replicas are asked"
        time.sleep(0.1)


async def ask(url: str, *, sibling_count: int = SIBLING_COUNT) -> dict[str, set[int]]:
    """Every prompt's samples, each in a request of its own, all at once; gives who scored them."""
    prompts = [f"prompt {number}" for number in range(PROMPT_COUNT)]

    async def score(prompt: str, response: str) -> tuple[str, int]:
        body = {"query": [prompt + response], "prompts": [prompt]}
        answer = (await http.post(f"{url}/get_reward", json=body)).json()
        assert answer["extra_logs"]["reward_valid"] == [1.0]
        return prompt, int(answer["rewards"][0])

    async with httpx.AsyncClient(timeout=120.0, limits=httpx.Limits(max_connections=64)) as http:
        found = await asyncio.gather(
            *(score(prompt, f" {number}") for number in range(sibling_count) for prompt in prompts)
        )
    by_prompt: dict[str, set[int]] = {}
    for prompt, pid in found:
        by_prompt.setdefault(prompt, set()).add(pid)
    return by_prompt


def test_each_prompts_samples_are_scored_by_one_replica_and_all_have_prompts(url: str) -> None:
    scored = asyncio.run(ask(url))
    assert all(len(pids) == 1 for pids in scored.values()), scored
    assert len(set().union(*scored.values())) == 3
    assert asyncio.run(ask(url)) == scored, "and the next step's by the same one"


def test_a_replica_that_dies_takes_no_sample_with_it_and_the_others_keep_their_prompts(url: str) -> None:
    before = asyncio.run(ask(url, sibling_count=1))
    [lost] = before["prompt 0"]

    async def ask_and_kill() -> dict[str, set[int]]:
        asking = asyncio.create_task(ask(url))
        await asyncio.sleep(0)
        os.kill(lost, signal.SIGKILL)
        return await asking

    after = asyncio.run(ask_and_kill())
    assert after.keys() == before.keys()
    moved = {prompt: (pids, after[prompt]) for prompt, pids in before.items() if not pids - {lost} <= after[prompt]}
    assert not moved, f"{lost} was lost"


def test_one_that_sleeps_wakes_for_its_first_prompt_and_is_asked_by_name_then(url: str) -> None:
    with HttpClient(url) as client:
        outputs = [client.score([{"prompt": "p", "response": "r"}], reward="sleeper")[0] for _ in range(3)]
    assert len({output.score for output in outputs}) == 1
    assert outputs[0].is_valid
