"""The policies through the whole service: real door, real runners, in this process."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rayreward import Sample, reward_function
from rayreward.errors import BackpressureError
from rayreward.router.admission import AdmissionPolicy, WaitingLimit
from rayreward.router.lane_policy import LanePolicy
from rayreward.testing import HANG, ScriptedReward, served
from rayreward.wire import VersionsChangeBody
from tests.router.stages import said, turns


class Deterministic(ScriptedReward):
    deterministic = True


@reward_function(mode="group", isolation="inline")
def above_the_mean(responses: list[str]) -> list[float]:
    """How much longer a response is than its group's mean."""
    mean = sum(map(len, responses)) / len(responses)
    return [len(response) - mean for response in responses]


def openrlhf(prompt: str, response: str) -> dict[str, Any]:
    return {"query": [prompt + response], "prompts": [prompt], "labels": [""]}


async def test_a_deterministic_reward_is_asked_once_for_each_different_sample() -> None:
    reward = Deterministic({"a": 0.25}, isolation="thread")
    async with served({"r": reward}) as service:
        first = await service.client.ascore([{"response": "a"}, {"response": "b"}, {"response": "a"}])
        again = await service.client.ascore([{"response": "b"}, {"response": "a"}])
        assert said(first) == [0.25, 1.0, 0.25]
        assert said(again) == [1.0, 0.25]
        assert reward.scored == ["a", "b"]
        [info] = await service.client.arewards()
        assert info.extra == {"cache_hit_rate": 0.6}
        [stats] = service.router.stats().lanes
        assert stats.cache is not None
        assert stats.cache.entry_count == 2


async def test_single_requests_of_openrlhf_meet_in_their_group() -> None:
    async with served({"r": above_the_mean}, policy=LanePolicy(group_size=3)) as service:
        asked = [
            service.http.post("/get_reward", params={"run": "ppo"}, json=openrlhf(prompt, response))
            for prompt in ("p", "q")
            for response in ("x", "xx", "xxx")
        ]
        answers = [answer.json() for answer in await asyncio.gather(*asked)]
        assert [answer["rewards"] for answer in answers] == [[-1.0], [0.0], [1.0]] * 2


async def test_a_group_that_stays_incomplete_teaches_nothing() -> None:
    async with served({"r": above_the_mean}, policy=LanePolicy(group_size=3, group_wait_s=0.01)) as service:
        samples = [Sample(prompt="p", response="x", group_id="g", group_size=2)]
        [output] = await service.router.score("r", samples, caller="ppo")
        assert said([output]) == ["invalid_input"]


async def test_a_native_caller_is_refused_where_too_much_waits_and_a_training_is_held() -> None:
    reward = ScriptedReward({"slow": HANG}, timeout_s=0.2)
    limits = AdmissionPolicy(total=WaitingLimit(max_samples=1), turn_wait_s=0.0)
    async with served({"r": reward}, admission=limits) as service:
        slow = asyncio.create_task(service.router.score("r", [Sample(response="slow")]))
        await turns()
        assert service.router.stats().inside_samples == 1
        refused = await service.http.post("/v1/rewards/r", json={"samples": [{"response": "a"}]})
        assert refused.status_code == 429
        assert float(refused.headers["retry-after"]) > 0
        held = await service.http.post("/get_reward", json=openrlhf("p", "a"))
        assert (held.status_code, held.json()["rewards"]) == (200, [1.0])
        assert said(await slow) == ["timeout"]
        stats = service.router.stats()
        assert (stats.refused_count, stats.held_count, stats.inside_samples, stats.inside_bytes) == (1, 0, 0, 0)


async def test_a_training_that_is_held_too_long_is_told_so() -> None:
    limits = AdmissionPolicy(total=WaitingLimit(max_samples=1))
    async with served({"r": ScriptedReward({"slow": HANG}, timeout_s=0.2)}, admission=limits) as service:
        slow = asyncio.create_task(service.router.score("r", [Sample(response="slow")]))
        await asyncio.sleep(0)
        held = await service.router.score("r", [Sample(response="a")], timeout_s=0.0, is_held=True)
        assert said(held) == ["rejected"]
        assert said(await slow) == ["timeout"]


async def test_refusals_are_errors_of_the_package() -> None:
    limits = AdmissionPolicy(per_caller=WaitingLimit(max_samples=1), turn_wait_s=0.0)
    async with served({"r": ScriptedReward({"slow": HANG}, timeout_s=0.1)}, admission=limits) as service:
        slow = asyncio.create_task(service.router.score("r", [Sample(response="slow")], caller="greedy"))
        await asyncio.sleep(0)
        with pytest.raises(BackpressureError, match="try again in") as caught:
            await service.router.score("r", [Sample(response="a")], caller="greedy")
        assert caught.value.retry_after_s > 0
        assert said(await service.router.score("r", [Sample(response="a")], caller="modest")) == [1.0]
        await slow


async def test_openrlhfs_single_requests_of_a_prompt_meet_one_version_of_a_reward() -> None:
    rewards, candidates = {"r": ScriptedReward(default=1.0)}, {"r": ScriptedReward(default=2.0)}
    async with served(rewards, candidates=candidates) as service:
        await service.router.change_versions("r", VersionsChangeBody("set", canary_percent=50))
        met: dict[str, set[float]] = {}
        for prompt in map(str, range(40)):
            for response in ("x", "y", "z"):
                answer = await service.http.post("/get_reward", params={"run": "ppo"}, json=openrlhf(prompt, response))
                met.setdefault(prompt, set()).update(answer.json()["rewards"])
        assert {len(scores) for scores in met.values()} == {1}
        assert {score for scores in met.values() for score in scores} == {1.0, 2.0}
