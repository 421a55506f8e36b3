from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest

from rayreward.batches import NOT_KNOWN_YET, EarlyBatch, Rest
from rayreward.client.trainer import TrainerClient
from rayreward.errors import ServiceUnavailableError
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from rayreward.trainers.openrlhf import TrainerAnswer
from rayreward.types import FailureKind, RewardOutput

FAILED = RewardOutput.failed(FailureKind.ERROR, "broken")
LOST = RewardOutput.failed(FailureKind.UNAVAILABLE, "no replica")


class Router:
    """Scores a response by its number; `bad` fails, `lost` finds nobody until it was asked `lost_count` times."""

    def __init__(self, *, lost_count: int = 0, unreachable_count: int = 0) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        self.options: list[dict[str, Any]] = []
        self.unseen: list[list[int]] = []
        self.lost_count, self.unreachable_count = lost_count, unreachable_count

    async def __call__(self, method: str, reward: str | None, samples: list[Sample], *args: Any, **options: Any) -> Any:
        responses = [sample.response for sample in samples]
        self.calls.append((method, responses))
        self.options.append(options)
        await asyncio.sleep(0)
        if method == "settle":
            self.unseen.append(args[1])
            if self.unreachable_count:
                self.unreachable_count -= 1
                raise ServiceUnavailableError("the router is being replaced")
            return [TrainerAnswer.filled(0.5, drop=False) for _ in samples]
        if "lost" in responses and self.lost_count:
            self.lost_count -= 1
            return [LOST if response == "lost" else self.score(response) for response in responses]
        return [self.score(response) for response in responses]

    @staticmethod
    def score(response: str) -> RewardOutput:
        return FAILED if response == "bad" else RewardOutput(2.0 if response == "lost" else float(response))


def client(router: Router, **options: Any) -> TrainerClient:
    clock = ManualClock()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    return TrainerClient(call=router, run="ppo", now=clock, sleep=sleep, **options)


async def test_256_samples_asked_one_at_a_time_travel_in_one_call_and_each_gets_its_own_answer() -> None:
    router = Router()
    asking = client(router)

    answers = await asyncio.gather(*(asking.answer([Sample(response=str(number))]) for number in range(256)))

    assert [answer[0].reward for answer in answers] == [float(number) for number in range(256)]
    assert len(router.calls) == 1
    assert router.options == [{"run": "ppo"}]


async def test_a_slow_sample_holds_up_none_that_travelled_with_it() -> None:
    go = asyncio.Event()

    async def call(method: str, asked: Any, batch: Any = None, **_options: Any) -> Any:
        if method == "rest":
            await go.wait()
            return Rest([RewardOutput(7.0)], [0], [])
        outputs = [NOT_KNOWN_YET if sample.response == "slow" else RewardOutput(1.0) for sample in batch]
        return EarlyBatch.without(outputs, {at: f"r/{at}" for at, one in enumerate(outputs) if one is NOT_KNOWN_YET})

    asking = TrainerClient(call=call, run="ppo")
    slow, quick = (asyncio.create_task(asking.answer([Sample(response=text)])) for text in ("slow", "quick"))
    assert [answer.reward for answer in await quick] == [1.0]
    assert not slow.done()
    go.set()
    assert [answer.reward for answer in await slow] == [7.0]


async def test_failed_samples_are_settled_together_and_marked() -> None:
    router = Router()
    asking = client(router)

    answers = await asyncio.gather(*(asking.answer([Sample(response=said)]) for said in ("1", "bad", "3", "bad")))

    assert [(answer[0].reward, answer[0].is_valid) for answer in answers] == [
        (1.0, True),
        (0.5, False),
        (3.0, True),
        (0.5, False),
    ]
    assert router.calls == [("score_for_trainer", ["1", "bad", "3", "bad"]), ("settle", ["bad", "bad"])]


async def test_an_episode_that_broke_before_it_could_be_scored_is_settled_too() -> None:
    router = Router()

    answer = await client(router).settle(Sample(response="x"), FAILED)

    assert (answer.reward, answer.is_valid) == (0.5, False)
    assert router.calls == [("settle", ["x"])]
    assert router.unseen == [[0]]


async def test_samples_wait_for_a_reward_that_nobody_answers_for() -> None:
    router = Router(lost_count=3)

    [lost, found] = await client(router).answer([Sample(response="lost"), Sample(response="7")])

    assert (lost.reward, lost.is_valid) == (2.0, True)
    assert found.reward == 7.0
    assert [responses for _, responses in router.calls] == [["lost", "7"], ["lost"], ["lost"], ["lost"]]


async def test_after_the_bound_the_policy_speaks() -> None:
    router = Router(lost_count=1000)

    [answer] = await client(router, wait_s=10.0).answer([Sample(response="lost")])

    assert (answer.reward, answer.is_valid) == (0.5, False)
    assert router.calls[-1][0] == "settle"
    assert len(router.calls) < 20


async def test_a_router_that_is_being_replaced_is_asked_again_to_settle() -> None:
    router = Router(unreachable_count=2)

    [answer] = await client(router).answer([Sample(response="bad")])

    assert answer.reward == 0.5
    assert [method for method, _ in router.calls] == ["score_for_trainer", "settle", "settle", "settle"]


async def test_a_router_that_stays_away_is_an_error_and_no_reward() -> None:
    with pytest.raises(ServiceUnavailableError):
        await client(Router(unreachable_count=10**6), wait_s=10.0).answer([Sample(response="bad")])


async def test_a_group_travels_in_one_call() -> None:
    router = Router()
    asking = client(router)
    group = [Sample(response=str(number), group_id="g", group_size=4) for number in range(4)]

    answers = await asking.answer(group)

    assert [answer.reward for answer in answers] == [0.0, 1.0, 2.0, 3.0]
    assert len(router.calls) == 1


async def test_a_dropped_sample_keeps_its_nan_for_the_filter_only() -> None:
    class Dropping(Router):
        async def __call__(self, method: str, *args: Any, **options: Any) -> Any:
            answers = await super().__call__(method, *args, **options)
            return [TrainerAnswer.filled(0.25, drop=True)] if method == "settle" else answers

    [answer] = await client(Dropping()).answer([Sample(response="bad")])

    assert answer.reward == 0.25
    assert math.isnan(answer.filter_score)
