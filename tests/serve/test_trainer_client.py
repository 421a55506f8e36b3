"""What rollout actors ask in this cluster: many samples, few calls, and each its own answer."""

from __future__ import annotations

import asyncio
import math
import os
from typing import Any

import pytest

from rayreward.client.trainer import TrainerClient
from rayreward.router.coalescer import Gather
from rayreward.sample import Sample
from rayreward.types import FailureKind
from tests.serve.test_openrlhf_executor import Engine, Letters

pytestmark = [pytest.mark.ray, pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]

POOL_SIZE = min(32, (os.cpu_count() or 1) + 4)
"""Threads of `asyncio.to_thread`, in which OpenRLHF runs a reward_func."""


class Counted:
    """A client of the running service that counts its calls."""

    def __init__(self, **options: Any) -> None:
        self.calls: list[str] = []
        self.client = TrainerClient(reward="echo", call=self.call, **options)

    async def call(self, method: str, *args: Any, **options: Any) -> Any:
        self.calls.append(method)
        return await self.client._call_router(method, *args, **options)


async def test_256_responses_of_the_executor_make_at_most_8_calls(service: str) -> None:
    from types import SimpleNamespace

    from rayreward.agents.single_turn import SingleTurnExecutor

    counted = Counted(run="executor")
    executor = SingleTurnExecutor(scorer=counted.client)

    async def respond(number: int) -> Any:
        params = SimpleNamespace(max_tokens=16, logprobs=None)
        return await executor.execute(f"{number}? ", "", params, 128, Letters(), Engine(str(number)))

    responses = await asyncio.gather(*map(respond, range(256)))

    assert [response["reward"] for response in responses] == [float(number) for number in range(256)]
    assert len(counted.calls) <= 8, counted.calls


async def test_a_pool_full_of_reward_func_threads_makes_at_most_one_call(service: str) -> None:
    from rayreward.client.sync import run_sync

    counted = Counted(run="threads", gather=Gather(POOL_SIZE, 0.05))

    def score(number: int) -> float:
        return run_sync(counted.client.answer([Sample(response=str(number))]))[0].reward

    rewards = await asyncio.gather(*(asyncio.to_thread(score, number) for number in range(256)))

    assert rewards == [float(number) for number in range(256)]
    assert len(counted.calls) <= math.ceil(256 / POOL_SIZE), counted.calls


async def test_failures_are_settled_by_the_router_and_counted_for_the_run(service: str) -> None:
    counted = Counted(run="settled")
    group = [Sample(prompt="q", response=text, group_id="g", group_size=3) for text in ("1", "raise", "3")]

    answers = await counted.client.answer(group)

    assert [(answer.reward, answer.is_valid) for answer in answers] == [(1.0, True), (2.0, False), (3.0, True)]
    assert counted.calls == ["score_for_trainer", "settle"]
    stats = await counted.client._call_router("run_stats", "settled")
    assert (stats.sample_count, stats.filled_count, dict(stats.failure_counts)) == (3, 1, {FailureKind.ERROR: 1})
