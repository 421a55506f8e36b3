from __future__ import annotations

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import UnknownRewardError
from rayreward.log.record import RewardLog
from rayreward.router.batching import BatchLimits
from rayreward.router.coalescer import Coalescer
from rayreward.router.config import OpenRLHFPolicy
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.router.openrlhf import OpenRLHFRoute
from rayreward.router.router import Lane, Router
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from rayreward.trainers.openrlhf import RewardRequest, TrainerAnswer, decode_request
from rayreward.types import FailureKind, RewardOutput
from rayreward.workers.outcomes import settled
from tests.router.stages import Stage, turns

FAILED = RewardOutput.failed(FailureKind.TIMEOUT, "slow")


class Script:
    """Scores by response; a response with a gate waits until it is opened."""

    def __init__(self, **answers: float | RewardOutput) -> None:
        self.answers, self.gates = answers, dict[str, asyncio.Event]()

    async def __call__(self, batch: list[Sample]) -> list[RewardOutput]:
        return [await self.score(sample.response) for sample in batch]

    async def score(self, response: str) -> RewardOutput:
        if response in self.gates:
            await self.gates[response].wait()
        answer = self.answers[response]
        return answer if isinstance(answer, RewardOutput) else RewardOutput(answer)


def route(send: Any, *, log: RewardLog | None = None, **policy: Any) -> OpenRLHFRoute:
    clock = ManualClock()
    lane = Lane(Coalescer(send, slot_count=8, limits=BatchLimits(max_samples=1), now=clock))
    router = Router({"r": lane}, main_reward="r", log=log, now=clock)
    return OpenRLHFRoute(router, OpenRLHFPolicy(**{"sibling_wait_s": 0.01, **policy}))


def asking(prompt: str, *responses: str) -> RewardRequest:
    queries = [prompt + response for response in responses]
    body = {"query": queries, "prompts": [prompt] * len(queries), "labels": [""] * len(queries)}
    return decode_request(json.dumps(body).encode())


def rewards(answers: list[TrainerAnswer]) -> list[tuple[float, bool]]:
    return [(answer.reward, answer.is_valid) for answer in answers]


async def test_scores_are_answered_as_they_are() -> None:
    answers = await route(Script(a=0.25, b=-3.0)).answer(None, asking("q", "a", "b"), run=None)
    assert rewards(answers) == [(0.25, True), (-3.0, True)]
    assert [answer.filter_score for answer in answers] == [0.25, -3.0]


async def test_an_empty_request_is_answered_empty() -> None:
    assert await route(Script()).answer("r", asking("q"), run=None) == []


async def test_an_unknown_reward_is_the_only_error() -> None:
    with pytest.raises(UnknownRewardError, match="no reward 'x' is served here"):
        await route(Script()).answer("x", asking("q", "a"), run=None)


class TestNeutral:
    async def test_a_failed_sample_gets_the_mean_of_its_siblings(self) -> None:
        answers = await route(Script(a=0.0, b=1.0, bad=FAILED)).answer(None, asking("q", "a", "bad", "b"), run=None)
        assert rewards(answers) == [(0.0, True), (0.5, False), (1.0, True)]
        assert answers[1].filter_score == 0.5

    async def test_it_waits_for_siblings_that_are_under_way_in_other_requests(self) -> None:
        script = Script(bad=FAILED, late=0.75)
        script.gates["late"] = asyncio.Event()
        asked = route(script, sibling_wait_s=60.0)
        late = asyncio.create_task(asked.answer(None, asking("q", "late"), run=None))
        failed = asyncio.create_task(asked.answer(None, asking("q", "bad"), run=None))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not failed.done()
        script.gates["late"].set()
        assert rewards(await failed) == [(0.75, False)]
        assert rewards(await late) == [(0.75, True)]

    async def test_it_waits_for_siblings_that_have_not_come_yet(self) -> None:
        asked = route(Script(bad=FAILED, good=0.5), sibling_wait_s=60.0)
        failed = asyncio.create_task(asked.answer(None, asking("q", "bad"), run=None))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not failed.done()
        await asked.answer(None, asking("q", "good"), run=None)
        assert rewards(await failed) == [(0.5, False)]

    async def test_it_waits_no_longer_than_the_policy_says(self) -> None:
        asked = route(Script(other=0.25, bad=FAILED))
        await asked.answer(None, asking("elsewhere", "other"), run=None)
        assert rewards(await asked.answer(None, asking("q", "bad"), run=None)) == [(0.25, False)]

    async def test_siblings_of_another_run_are_none(self) -> None:
        asked = route(Script(good=1.0, bad=FAILED))
        await asked.answer(None, asking("q", "good"), run="a")
        assert rewards(await asked.answer(None, asking("q", "bad"), run="b")) == [(0.0, False)]

    async def test_a_caller_that_leaves_is_waited_for_no_more(self) -> None:
        script = Script(bad=FAILED, good=0.5, stuck=1.0)
        script.gates["stuck"] = asyncio.Event()
        asked = route(script, sibling_wait_s=60.0)
        leaving = asyncio.create_task(asked.answer(None, asking("q", "stuck"), run=None))
        await asked.answer(None, asking("q", "good"), run=None)
        failed = asyncio.create_task(asked.answer(None, asking("q", "bad"), run=None))
        for _ in range(10):
            await asyncio.sleep(0)
        leaving.cancel()
        assert rewards(await failed) == [(0.5, False)]

    async def test_a_malformed_query_is_answered_too(self) -> None:
        request = decode_request(json.dumps({"query": ["qa", 5], "prompts": ["q", "q"], "labels": ["", ""]}).encode())
        assert rewards(await route(Script(a=0.5)).answer(None, request, run=None)) == [(0.5, True), (0.5, False)]

    async def test_a_reward_that_answers_nothing_in_time_is_a_failure_like_others(self) -> None:
        script = Script(good=0.5, stuck=1.0)
        script.gates["stuck"] = asyncio.Event()
        asked = route(script, answer_within_s=0.3)
        answers = await asked.answer(None, asking("q", "good", "stuck"), run=None)
        assert rewards(answers) == [(0.5, True), (0.5, False)]


async def test_drop_fills_the_reward_and_makes_the_filter_see_nothing() -> None:
    asked = route(Script(good=1.0, bad=FAILED), on_failure="drop")
    good, bad = await asked.answer(None, asking("q", "good", "bad"), run=None)
    assert (good.reward, good.filter_score, good.is_valid) == (1.0, 1.0, True)
    assert (bad.reward, bad.is_valid) == (1.0, False)
    assert math.isnan(bad.filter_score)


async def test_fallback_answers_its_number_at_once() -> None:
    asked = route(Script(bad=FAILED), on_failure="fallback", fallback=-1.0, sibling_wait_s=60.0)
    assert rewards(await asked.answer(None, asking("q", "bad"), run=None)) == [(-1.0, False)]


async def test_the_log_says_what_was_scored_and_what_was_answered(tmp_path: Path) -> None:
    log = RewardLog(tmp_path, writer="w")
    await route(Script(good=1.0, bad=FAILED), log=log).answer(None, asking("q", "good", "bad"), run="ppo")
    log.close()
    good, bad = (json.loads(line) for line in log.path.read_text().splitlines())
    assert (good["score"], good["answered"], good["run"]) == (1.0, 1.0, "ppo")
    assert (bad["score"], bad["answered"], bad["failure_kind"]) == (None, 1.0, "timeout")


class TestInTwoSteps:
    """As a client asks whose calls carry many samples."""

    @staticmethod
    def group(*responses: str) -> list[Sample]:
        return [Sample(prompt="q", response=text, group_id="g", group_size=len(responses)) for text in responses]

    async def test_scores_come_at_once_and_the_failed_are_settled_by_their_siblings(self) -> None:
        asked = route(Script(a=0.0, b=1.0, bad=FAILED), sibling_wait_s=60.0)
        samples = self.group("a", "bad", "b")
        outputs = await settled(await asked.begin(None, samples, run="ppo"))
        assert [output.score for output in outputs] == [0.0, None, 1.0]
        answers = await asked.settle(None, [samples[1]], [outputs[1]], run="ppo")
        assert rewards(answers) == [(0.5, False)]

    async def test_an_episode_that_was_never_scored_waits_for_its_siblings_and_they_for_it(self) -> None:
        asked = route(Script(a=0.25, bad=FAILED), sibling_wait_s=60.0)
        a, bad, broken = self.group("a", "bad", "broken")
        early = asyncio.create_task(asked.settle(None, [broken], [FAILED], run="ppo", unseen=[0]))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not early.done()
        outputs = await settled(await asked.begin(None, [a, bad], run="ppo"))
        assert rewards(await early) == [(0.25, False)]
        assert rewards(await asked.settle(None, [bad], [outputs[1]], run="ppo")) == [(0.25, False)]

    async def test_a_score_that_was_given_elsewhere_counts_for_its_siblings(self) -> None:
        asked = route(Script(), sibling_wait_s=60.0)
        own, broken = self.group("own", "broken")
        late = asyncio.create_task(asked.settle(None, [broken], [FAILED], run="ppo", unseen=[0]))
        told = await asked.settle(None, [own], [RewardOutput(0.75)], run="ppo", unseen=[0])
        assert rewards(told) == [(0.75, True)]
        assert rewards(await late) == [(0.75, False)]

    async def test_a_slow_sample_holds_up_no_other_and_counts_for_its_siblings_when_it_is_known(self) -> None:
        go = asyncio.Event()

        async def send(batch: list[Sample]) -> list[RewardOutput]:
            if batch[0].response == "slow":
                await go.wait()
            return [RewardOutput(1.0) for _ in batch]

        lane = open_lane(send, slot_count=2, limits=BatchLimits(max_samples=1), policy=LanePolicy(), now=ManualClock())
        lane.learn(RewardFacts("v"))
        own = OpenRLHFRoute(Router({"r": lane}, main_reward="r"), OpenRLHFPolicy(sibling_wait_s=60.0))
        quick, slow, broken = self.group("quick", "slow", "broken")
        known, late = await own.begin(None, [quick, slow], run="ppo")
        assert isinstance(known, RewardOutput)
        assert isinstance(late, asyncio.Future)
        waiting = asyncio.create_task(own.settle(None, [broken], [FAILED], run="ppo", unseen=[0]))
        await turns()
        assert not waiting.done()
        go.set()
        assert (await late).is_valid
        assert rewards(await waiting) == [(1.0, False)]

    async def test_one_that_is_given_up_keeps_no_sibling_waiting(self) -> None:
        stage = Stage(is_held=True)
        lane = open_lane(stage, slot_count=1, limits=BatchLimits(), policy=LanePolicy(), now=ManualClock())
        lane.learn(RewardFacts("v"))
        own = OpenRLHFRoute(Router({"r": lane}, main_reward="r"), OpenRLHFPolicy(sibling_wait_s=60.0))
        slow, broken = self.group("slow", "broken")
        [late] = await own.begin(None, [slow], run="ppo")
        assert isinstance(late, asyncio.Future)
        waiting = asyncio.create_task(own.settle(None, [broken], [FAILED], run="ppo", unseen=[0]))
        await turns()
        assert not waiting.done()
        late.cancel()
        async with asyncio.timeout(10):
            await waiting

    async def test_each_sample_is_recorded_once(self, tmp_path: Path) -> None:
        log = RewardLog(tmp_path, writer="w")
        asked = route(Script(a=1.0, bad=FAILED), log=log)
        samples = self.group("a", "bad")
        outputs = await settled(await asked.begin(None, samples, run="ppo"))
        await asked.settle(None, [samples[1]], [outputs[1]], run="ppo")
        log.close()
        rows = [json.loads(line) for line in log.path.read_text().splitlines()]
        assert [(row["score"], row["answered"], row["group_id"]) for row in rows] == [(1.0, 1.0, "g"), (None, 1.0, "g")]


async def test_a_request_may_say_of_how_many_samples_its_prompts_groups_are() -> None:
    sent: list[list[str]] = []

    async def send(batch: list[Sample]) -> list[RewardOutput]:
        sent.append([sample.response for sample in batch])
        return [RewardOutput(1.0) for _ in batch]

    clock = ManualClock()
    lane = open_lane(send, slot_count=1, limits=BatchLimits(), policy=LanePolicy(), now=clock)
    lane.learn(RewardFacts("v", compares_groups=True))
    own = OpenRLHFRoute(Router({"r": lane}, main_reward="r", now=clock), OpenRLHFPolicy())
    answers = await asyncio.gather(
        *(own.answer(None, asking("q", response), run="ppo", group_size=2) for response in ("a", "b"))
    )
    assert [rewards(one) for one in answers] == [[(1.0, True)], [(1.0, True)]]
    assert sent == [["a", "b"]]


async def test_queries_wait_in_the_class_that_their_request_names() -> None:
    stage = Stage(is_held=True)
    lane = open_lane(stage, slot_count=1, limits=BatchLimits(max_samples=1), policy=LanePolicy(), now=ManualClock())
    lane.learn(RewardFacts("v"))
    own = OpenRLHFRoute(Router({"r": lane}, main_reward="r", now=ManualClock()), OpenRLHFPolicy())
    calls = [asyncio.create_task(own.answer(None, asking("q", "first"), run=None))]
    await turns()
    calls.append(asyncio.create_task(own.answer(None, asking("q", "eval"), run=None, priority="eval")))
    calls.append(asyncio.create_task(own.answer(None, asking("q", "train"), run=None)))
    await turns()
    stage.release()
    await asyncio.gather(*calls)
    assert stage.asked == [["first"], ["train"], ["eval"]]


class TestWaiting:
    """Over HTTP OpenRLHF waits 180 s for an answer: while nobody scores, the training pauses."""

    LOST = RewardOutput.failed(FailureKind.UNAVAILABLE, "no replica")

    @staticmethod
    def waiting(send: Any, pauses: list[float], **policy: Any) -> OpenRLHFRoute:
        clock = ManualClock()

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            clock.advance(seconds)

        lane = Lane(Coalescer(send, slot_count=8, limits=BatchLimits(max_samples=1), now=clock))
        router = Router({"r": lane}, main_reward="r", now=clock)
        return OpenRLHFRoute(router, OpenRLHFPolicy(**{"sibling_wait_s": 0.01, **policy}), sleep=sleep)

    async def test_a_sample_that_nobody_scores_is_held_until_somebody_does(self) -> None:
        pauses: list[float] = []
        answers_left = [self.LOST, self.LOST, RewardOutput(0.75)]

        async def send(batch: list[Sample]) -> list[RewardOutput]:
            return [answers_left.pop(0)]

        asked = self.waiting(send, pauses)
        assert rewards(await asked.answer(None, asking("q", "a"), run=None)) == [(0.75, True)]
        assert len(pauses) == 2

    async def test_it_is_answered_by_the_policy_before_the_trainer_gives_up(self) -> None:
        pauses: list[float] = []

        async def send(batch: list[Sample]) -> list[RewardOutput]:
            return [self.LOST]

        asked = self.waiting(send, pauses, answer_within_s=100.0)
        assert rewards(await asked.answer(None, asking("q", "a"), run=None)) == [(0.0, False)]
        assert 90 < sum(pauses) < 100
