from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from rayreward.errors import ServiceUnavailableError
from rayreward.function import Isolation, RewardFunction
from rayreward.judges.scripted import ScriptedEndpoint
from rayreward.rewards import CompositeReward, KeywordReward, LLMJudge
from rayreward.router.backlog import Backlog
from rayreward.router.batching import BatchLimits
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import Lane, open_lane
from rayreward.router.lane_policy import LanePolicy, Slots
from rayreward.router.prescale import ReplicaRange
from rayreward.router.sizing import BatchSizer
from rayreward.router.terms import Terms
from rayreward.sample import Sample
from rayreward.testing import ManualClock, ScriptedReward
from rayreward.types import RewardOutput
from tests.router.stages import Stage, said, samples, turns

TERMS = Terms()


def lane(send: Any, *, facts: RewardFacts | None = None, clock: ManualClock | None = None, **policy: Any) -> Lane:
    opened = open_lane(
        send, slot_count=1, limits=BatchLimits(), policy=LanePolicy(**policy), now=clock or ManualClock()
    )
    if facts is not None:
        opened.learn(facts)
    return opened


DETERMINISTIC = RewardFacts("v", is_reusable=True)


class TestWhatApplies:
    async def test_a_deterministic_rewards_twins_and_repetitions_are_scored_once(self) -> None:
        stage = Stage()
        one = lane(stage, facts=DETERMINISTIC)
        outputs = await asyncio.gather(*(one.score(samples("a", "bb"), TERMS) for _ in range(4)))
        outputs.append(await one.score(samples("bb"), TERMS))
        assert [said(listed) for listed in outputs] == [[1.0, 2.0]] * 4 + [[2.0]]
        assert stage.asked == [["a", "bb"]]
        cache = one.stats("r").cache
        assert cache is not None
        assert (cache.miss_count, cache.twin_count, cache.hit_count, cache.entry_count) == (2, 6, 1, 2)
        assert one.info("r").extra["cache_hit_rate"] == round(7 / 9, 4)

    async def test_every_other_rewards_sample_is_scored_each_time(self) -> None:
        stage = Stage()
        one = lane(stage, facts=RewardFacts("v"))
        await one.score(samples("a", "a"), TERMS)
        assert stage.asked == [["a", "a"]]

    async def test_what_troubles_the_reward_is_told(self) -> None:
        one = lane(Stage(), facts=RewardFacts("v", crash_loop="it ended 5 times in a row"))
        assert one.info("r").extra == {"crash_loop": "it ended 5 times in a row"}

    async def test_a_cache_that_is_switched_off_scores_each_time_too(self) -> None:
        stage = Stage()
        one = lane(stage, facts=DETERMINISTIC, cache_entries=0)
        await one.score(samples("a", "a"), TERMS)
        assert stage.asked == [["a", "a"]]
        assert one.stats("r").cache is None

    async def test_a_group_rewards_samples_wait_for_one_another(self) -> None:
        stage = Stage()
        one = lane(stage, facts=RewardFacts("v", compares_groups=True, scores_one_by_one=False), group_size=2)
        calls = [asyncio.create_task(one.score(samples(response, prompt="p"), TERMS)) for response in ("a", "bb")]
        assert [said(await call) for call in calls] == [[1.0], [2.0]]
        assert stage.asked == [["a", "bb"]]

    async def test_until_a_replica_has_told_what_the_reward_is_samples_wait(self) -> None:
        stage = Stage()
        one = lane(stage)
        call = asyncio.create_task(one.score(samples("a", "a"), TERMS))
        assert said(await one.score(samples("b"), Terms(timeout_s=0.0))) == ["timeout"]
        assert stage.asked == []
        one.learn(DETERMINISTIC)
        assert said(await call) == [1.0, 1.0]
        assert stage.asked == [["a"]]

    async def test_a_new_version_is_asked_everything_and_nothing_is_kept_until_it_is_known(self) -> None:
        stage = Stage()
        one = lane(stage, facts=DETERMINISTIC)
        await one.score(samples("a"), TERMS)
        one.note_version("v2")
        assert one.needs_facts
        await one.score(samples("a", "a"), TERMS)
        one.learn(RewardFacts("v2", is_reusable=True))
        await one.score(samples("a", "a"), TERMS)
        assert stage.asked == [["a"], ["a", "a"], ["a"]]

    async def test_an_urgent_sample_leaves_before_those_that_have_waited_longer(self) -> None:
        stage = Stage(is_held=True)
        one = open_lane(stage, slot_count=1, limits=BatchLimits(max_samples=1), policy=LanePolicy(), now=ManualClock())
        one.learn(RewardFacts("v"))
        calls = [asyncio.create_task(one.score(samples("first"), TERMS))]
        await turns()
        for response, priority in (("batch", 2), ("eval", 1), ("train", 0)):
            calls.append(asyncio.create_task(one.score(samples(response), Terms(priority=priority))))
        await turns()
        stage.release()
        await asyncio.gather(*calls)
        assert stage.asked == [["first"], ["train"], ["eval"], ["batch"]]

    async def test_what_no_caller_waits_for_any_longer_is_not_sent(self) -> None:
        stage = Stage(is_held=True)
        one = lane(stage, facts=RewardFacts("v"))
        first = asyncio.create_task(one.score(samples("first"), TERMS))
        await turns()
        assert said(await one.score(samples("late"), Terms(timeout_s=0.0))) == ["timeout"]
        stage.release()
        await first
        await turns()
        assert stage.asked == [["first"]]
        assert one.stats("r").dropped_count == 1


class TestTrouble:
    async def test_a_poisoned_batch_costs_the_poison_alone_and_its_neighbours_are_kept(self) -> None:
        async def send(batch: list[Sample]) -> Sequence[RewardOutput]:
            if any(sample.response == "bad" for sample in batch):
                raise ValueError("cannot be read")
            return [RewardOutput(1.0) for _ in batch]

        one = lane(send, facts=DETERMINISTIC)
        outputs = await one.score(samples("a", "b", "bad", "c"), TERMS)
        assert said(outputs) == [1.0, 1.0, "error", 1.0]
        assert one.lookup is not None
        assert len(one.lookup.cache) == 3

    async def test_a_lost_reward_is_left_alone_and_known_scores_are_told_all_the_same(self) -> None:
        clock, sent, is_lost = ManualClock(), list[int](), False

        async def send(batch: list[Sample]) -> Sequence[RewardOutput]:
            sent.append(len(batch))
            if is_lost:
                raise ServiceUnavailableError("lost")
            return [RewardOutput(1.0) for _ in batch]

        one = lane(send, facts=DETERMINISTIC, clock=clock)
        await one.score(samples("known"), TERMS)
        is_lost = True
        for number in range(8):
            assert said(await one.score(samples(str(number)), TERMS)) == ["unavailable"]
        assert len(sent) == 1 + 5
        info = one.info("r")
        assert (info.state, info.extra["breaker"], info.extra["retry_in_s"]) == ("unhealthy", "open", 1.0)
        assert said(await one.score(samples("known"), TERMS)) == [1.0]
        is_lost = False
        clock.advance(1.0)
        assert said(await one.score(samples("again"), TERMS)) == [1.0]
        assert one.info("r").state == "ready"
        assert one.stats("r").breaker_opened_count == 1

    async def test_without_any_sample_a_probe_closes_the_breaker(self) -> None:
        clock = ManualClock()
        one = lane(Stage(answer=lambda sample: ServiceUnavailableError("lost")), facts=RewardFacts("v"), clock=clock)
        for number in range(5):
            await one.score(samples(str(number)), TERMS)
        assert not one.wants_probe
        clock.advance(1.0)
        assert one.wants_probe
        assert not one.wants_probe, "one at a time"
        one.note_probe(True, was_there=False)
        clock.advance(2.0)
        assert one.wants_probe
        one.note_probe(True, was_there=True)
        assert one.info("r").state == "ready"


class TestSleep:
    """A reward that may have no replica."""

    def sleeper(self, stage: Stage | None = None, *, clock: ManualClock | None = None) -> Lane:
        one = lane(stage or Stage(), clock=clock, replicas=ReplicaRange(0, 4, fixed_by=None))
        one.replica_count, one.slots = 0, Slots(1, most_replicas=4)
        return one

    def test_it_is_idle_where_nothing_needs_it_and_is_not_asked_anything(self) -> None:
        one = self.sleeper()
        assert (one.state, one.may_be_asked, one.has_news) == ("idle", False, False)

    async def test_a_sample_needs_it_and_waits_until_it_is_known(self) -> None:
        one = self.sleeper()
        call = asyncio.create_task(one.score(samples("a"), TERMS))
        await one.wait_until_wanted(60.0)
        assert (one.state, one.may_be_asked) == ("starting", True)
        one.replica_count = 1
        one.learn(RewardFacts("v"))
        assert said(await call) == [1.0]
        assert one.state == "ready"
        one.replica_count = 0
        assert one.state == "idle"

    async def test_a_sample_of_one_that_is_known_needs_it_as_well(self) -> None:
        stage = Stage(is_held=True)
        one = self.sleeper(stage)
        one.learn(RewardFacts("v"))
        call = asyncio.create_task(one.score(samples("a"), TERMS))
        await turns()
        assert one.state == "starting"
        stage.release()
        await call
        assert one.state == "idle"

    async def test_a_wish_needs_it_and_its_end_is_told_to_nobody_who_sleeps(self) -> None:
        clock = ManualClock()
        one = self.sleeper(clock=clock)
        one.prescale("r", 2, for_s=60.0)
        await one.wait_until_wanted(60.0)
        assert (one.state, one.may_be_asked, one.has_news) == ("starting", True, True)
        assert one.info("r").extra == {
            "prescaled_replicas": 2,
            "starting": {"doing": "waiting for a replica", "for_s": 0.0},
        }
        clock.advance(60.0)
        assert (one.state, one.has_news) == ("idle", False)

    def test_a_wish_that_is_taken_back_is_told_to_those_who_are_awake(self) -> None:
        one = self.sleeper()
        one.replica_count = 2
        one.prescale("r", 0, for_s=60.0)
        assert one.has_news

    async def test_without_news_the_wait_ends_after_its_time(self) -> None:
        await self.sleeper().wait_until_wanted(0.0)

    def test_one_that_may_not_sleep_is_starting_until_it_is_known(self) -> None:
        one = lane(Stage())
        assert (one.state, one.may_be_asked) == ("starting", True)


@pytest.mark.parametrize(("count", "slots"), [(None, 8), (0, 2), (1, 2), (3, 6), (9, 8)])
async def test_as_many_calls_are_under_way_as_the_running_replicas_take(count: int | None, slots: int) -> None:
    stage = Stage(is_held=True)
    one = open_lane(stage, slot_count=1, limits=BatchLimits(max_samples=1), policy=LanePolicy(), now=ManualClock())
    one.slots = Slots(2, most_replicas=4)
    one.note_replicas(count)
    one.learn(RewardFacts("v"))
    call = asyncio.create_task(one.score(samples(*"abcdefghij"), TERMS))
    await turns()
    assert len(stage.asked) == slots
    stage.release()
    await call


async def test_work_is_spread_over_the_replicas_that_run() -> None:
    stage = Stage()
    slots = Slots(2, most_replicas=4)
    sizer = BatchSizer(slots.spread(None))
    one = open_lane(stage, slot_count=8, limits=BatchLimits(), policy=LanePolicy(), now=ManualClock(), sizer=sizer)
    one.slots = slots
    one.learn(RewardFacts("v"))
    sizer.note(samples=1, computed_s=1.0)
    first_calls = []
    for count in (None, 1, 2, 4):
        one.note_replicas(count)
        stage.asked.clear()
        await one.score(samples(*"abcdefgh"), TERMS)
        first_calls.append(len(stage.asked[0]))
    assert first_calls == [8, 8, 4, 2]


async def test_what_waits_behind_calls_that_take_long_is_news_where_there_may_be_more_replicas() -> None:
    clock, stage = ManualClock(), Stage(is_held=True)
    one = lane(stage, facts=RewardFacts("v"), clock=clock)
    one.slots = Slots(1, most_replicas=2)
    one.note_replicas(1)
    calls = [asyncio.create_task(one.score(samples(response), TERMS)) for response in ("a", "b")]
    await turns()
    one.backlog(0.0)
    assert not one.has_news
    calls.append(asyncio.create_task(one.score(samples("c"), TERMS)))
    await turns()
    assert not one.has_news, "who is called often hears it anyway"
    clock.advance(1.0)
    assert one.has_news
    one.replica_count = 2
    assert not one.has_news, "there is nobody else to start"
    stage.release()
    await asyncio.gather(*calls)


async def test_replicas_are_told_what_waits_and_what_is_wished_for() -> None:
    stage = Stage(is_held=True)
    one = lane(stage, facts=RewardFacts("v"), replicas=ReplicaRange(1, 4, fixed_by=None))
    calls = [asyncio.create_task(one.score(samples("first"), TERMS))]
    await turns()
    calls.append(asyncio.create_task(one.score(samples("a", "b"), TERMS)))
    await turns()
    one.prescale("r", 3, for_s=60.0)
    size_bytes = sum(sample.size_bytes for sample in samples("a", "b"))
    assert one.backlog(5.0) == Backlog(5.0, 2, size_bytes, 0, 3, 60.0)
    stage.release()
    await asyncio.gather(*calls)
    assert one.backlog(6.0).waiting_samples == 0


def test_facts_are_read_from_the_reward() -> None:
    facts = RewardFacts.of(ScriptedReward(), "v")
    assert (facts.version, facts.is_reusable, facts.compares_groups, facts.scores_one_by_one) == (
        "v",
        False,
        False,
        True,
    )


@pytest.mark.parametrize(
    ("isolation", "process_count", "takes_turns"),
    [("process", 1, True), ("process", 2, False), ("thread", 1, True), ("inline", 1, True)],
)
def test_a_second_call_waits_for_the_first_where_one_thing_scores(
    isolation: Isolation, process_count: int, takes_turns: bool
) -> None:
    reward = RewardFunction(func=lambda response: 1.0, isolation=isolation)
    assert RewardFacts.of(reward, "v", process_count=process_count).takes_turns is takes_turns


def test_async_rewards_take_calls_side_by_side() -> None:
    async def asking(response: str) -> float:
        return 1.0

    assert not RewardFacts.of(RewardFunction(func=asking, isolation="inline"), "v").takes_turns


def test_a_reward_that_costs_less_than_looking_it_up_is_asked_every_time() -> None:
    class Certain(ScriptedReward):
        deterministic = True

    assert RewardFacts.of(Certain(isolation="thread"), "v").is_reusable
    assert not RewardFacts.of(Certain(isolation="inline"), "v").is_reusable


class TestRewardsThatCountByRun:
    COUNTS = RewardFacts("v", is_reusable=True, counts_by_run=True)

    async def test_are_told_who_asks_and_remember_scores_for_all(self) -> None:
        stage = Stage()
        one = lane(stage, facts=self.COUNTS)
        [asked] = samples("a", metadata={"level": 3})
        for run in ("run-1", "run-2"):
            assert said(await one.score([asked], Terms(caller=run))) == [1.0]
        assert [sample.metadata for listed in stage.samples for sample in listed] == [{"level": 3, "run": "run-1"}]
        assert asked.metadata == {"level": 3}

    @pytest.mark.parametrize("policy", [{"cache_entries": 0}, {}])
    @pytest.mark.parametrize("is_reusable", [True, False])
    async def test_with_and_without_a_cache(self, policy: dict[str, Any], is_reusable: bool) -> None:
        stage = Stage()
        one = lane(stage, facts=RewardFacts("v", is_reusable=is_reusable, counts_by_run=True), **policy)
        await one.score(samples("a"), Terms(caller="run-1"))
        await one.score(samples("b"), TERMS)
        assert [sample.metadata for listed in stage.samples for sample in listed] == [{"run": "run-1"}, {}]

    async def test_groups_too_and_a_name_of_their_own_stays(self) -> None:
        stage = Stage()
        facts = RewardFacts("v", compares_groups=True, scores_one_by_one=False, counts_by_run=True)
        one = lane(stage, facts=facts, group_size=2)
        group = [*samples("a", prompt="p"), *samples("b", prompt="p", metadata={"run": "mine"})]
        await one.score(group, Terms(caller="run-1"))
        assert [sample.metadata["run"] for sample in stage.samples[0]] == ["run-1", "mine"]

    async def test_others_are_asked_with_the_very_samples_that_came(self) -> None:
        stage = Stage()
        one = lane(stage, facts=DETERMINISTIC)
        [asked] = samples("a")
        await one.score([asked], Terms(caller="run-1"))
        assert stage.samples[0][0] is asked

    def test_judges_do_and_what_is_composed_of_one(self) -> None:
        judge = LLMJudge("m", "Rate it.", endpoint=ScriptedEndpoint([]))
        assert RewardFacts.of(judge, "v").counts_by_run
        assert RewardFacts.of(CompositeReward([judge, KeywordReward(["a"])]), "v").counts_by_run
        assert not RewardFacts.of(KeywordReward(["a"]), "v").counts_by_run
