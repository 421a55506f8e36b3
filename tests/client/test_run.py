from __future__ import annotations

import asyncio
import pickle
from collections.abc import Sequence
from typing import Any

import pytest

from rayreward import HttpClient, RewardClient, Sample
from rayreward.client.run import RunClient
from rayreward.errors import ServiceUnavailableError, UnknownRewardError
from rayreward.testing import ManualClock, ScriptedReward, served
from rayreward.types import FailureKind, Priority, RewardInfo, RewardOutput


class Carrier(RewardClient):
    """Brings the answers that are written down, one entry a call; the last one for ever."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.calls = list(answers), list[tuple[list[str], Any, Any, Any]]()
        self.priorities = list[Priority]()

    async def _send(
        self,
        reward: str | None,
        samples: Sequence[Sample],
        *,
        timeout_s: Any,
        run: str | None,
        step: int | None,
        priority: Priority,
    ) -> list[RewardOutput]:
        self.priorities.append(priority)
        self.calls.append(([sample.response for sample in samples], reward, run, step))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [answer] * len(samples)

    async def arewards(self) -> list[RewardInfo]:
        return []

    async def aclose(self) -> None:
        pass


LOST = ServiceUnavailableError("nobody there")
FAILED = RewardOutput.failed(FailureKind.UNAVAILABLE, "no replica")


def client_of(carrier: Carrier, **options: Any) -> tuple[RunClient, ManualClock]:
    clock = ManualClock()

    async def sleep(seconds: float) -> None:
        clock.advance(seconds)

    return RunClient(carrier, reward="math", run="first", now=clock, sleep=sleep, **options), clock


async def test_what_is_asked_at_the_same_time_travels_together() -> None:
    carrier = Carrier(RewardOutput(0.5))
    client, _ = client_of(carrier)

    answers = await asyncio.gather(*(client.ascore([Sample(response=text)]) for text in "abc"))

    assert [output.score for [output] in answers] == [0.5] * 3
    assert carrier.calls == [(["a", "b", "c"], "math", "first", None)]


async def test_a_whole_batch_of_a_step_travels_as_it_is() -> None:
    carrier = Carrier(RewardOutput(0.5))
    client, _ = client_of(carrier)
    assert len(await client.ascore([Sample(response="a"), Sample(response="b")], step=7)) == 2
    assert await client.ascore([]) == []
    assert carrier.calls == [(["a", "b"], "math", "first", 7)]


@pytest.mark.parametrize("silence", [LOST, FAILED])
async def test_a_reward_that_nobody_answers_for_is_waited_for(silence: Any) -> None:
    carrier = Carrier(silence, silence, RewardOutput(1.0))
    client, clock = client_of(carrier)
    [output] = await client.ascore([Sample(response="a")])
    assert output.score == 1.0
    assert clock() == 4.0


async def test_after_the_wait_its_samples_fail() -> None:
    client, clock = client_of(Carrier(LOST), wait_s=10)
    [output] = await client.ascore([Sample(response="a")], step=1)
    assert output.failure is not None
    assert output.failure.kind is FailureKind.UNAVAILABLE
    assert clock() == 10.0


async def test_a_reward_that_is_silent_for_too_long_stops_the_training() -> None:
    client, clock = client_of(Carrier(RewardOutput(1.0), LOST), wait_s=0, max_unavailable_s=900)
    await client.ascore([Sample(response="a")], step=1)
    clock.advance(890)
    assert (await client.ascore([Sample(response="a")], step=2))[0].score is None
    clock.advance(20)
    with pytest.raises(ServiceUnavailableError, match=r"math has answered nothing for 910 s \(limit: 900 s\)"):
        await client.ascore([Sample(response="a")], step=3)


@pytest.mark.parametrize("step", [None, 1])
async def test_a_reward_that_does_not_exist_stops_the_training(step: int | None) -> None:
    async with served({"scripted": ScriptedReward()}) as service:
        with pytest.raises(UnknownRewardError, match="scripted"):
            await RunClient(service.client, reward="scriptet").ascore([Sample(response="a")], step=step)


def test_travels_to_other_processes() -> None:
    client = RunClient(HttpClient("http://host"), reward="math", run="first")
    assert pickle.loads(pickle.dumps(client)).name == "math"


async def test_its_samples_have_the_runs_priority() -> None:
    carrier = Carrier(RewardOutput(0.5))
    client, _ = client_of(carrier, priority="eval")
    await client.ascore([Sample(response="a")])
    await client.ascore([Sample(response="b")], step=1)
    assert carrier.priorities == ["eval", "eval"]
