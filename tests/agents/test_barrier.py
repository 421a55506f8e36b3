from __future__ import annotations

import asyncio

from rayreward.agents.barrier import Barrier, Meeting
from rayreward.agents.groups import Group
from rayreward.sample import Sample
from tests.agents.fakes import FakeScorer


def a_group(size: int) -> Group:
    return Group("g", "prompt", size=size)


def a_sample(response: str) -> Sample:
    return Sample(prompt="prompt", response=response, label="l", metadata={"query": "q"}, group_id="g")


class TestMeeting:
    def test_it_is_complete_when_everybody_has_come_or_will_not(self) -> None:
        meeting = Meeting(2)
        assert meeting.arrive(a_sample("a")) == 0
        assert not meeting.is_complete
        meeting.miss()
        assert meeting.is_complete

    def test_who_comes_when_it_is_over_has_no_place(self) -> None:
        meeting = Meeting(2)
        meeting.arrive(a_sample("a"))
        meeting.is_over = True
        assert meeting.arrive(a_sample("b")) is None
        assert meeting.is_complete


class TestBarrier:
    async def test_a_group_is_scored_in_one_call_and_each_gets_its_own_answer(self) -> None:
        scorer = FakeScorer()
        barrier, group = Barrier(scorer, 60.0), a_group(3)
        answers = await asyncio.gather(*(barrier.answer(group, a_sample("x" * size)) for size in (1, 2, 3)))
        assert [answer.reward for answer in answers] == [1.0, 2.0, 3.0]
        [samples] = scorer.calls
        assert [(sample.group_id, sample.group_size, sample.label) for sample in samples] == [("g", 3, "l")] * 3
        assert len(barrier) == 0

    async def test_one_that_never_ends_is_not_waited_for_longer_than_the_bound_and_then_scored_alone(self) -> None:
        scorer = FakeScorer()
        barrier, group = Barrier(scorer, 0.01), a_group(3)
        await asyncio.gather(barrier.answer(group, a_sample("a")), barrier.answer(group, a_sample("bb")))
        late = await barrier.answer(group, a_sample("late"))
        assert late.reward == 4.0
        assert [[sample.group_size for sample in call] for call in scorer.calls] == [[2, 2], [1]]
        assert len(barrier) == 0

    async def test_the_others_get_their_answers_when_one_of_them_is_cancelled(self) -> None:
        scorer = FakeScorer()
        barrier, group = Barrier(scorer, 60.0), a_group(2)
        first = asyncio.create_task(barrier.answer(group, a_sample("a")))
        second = asyncio.create_task(barrier.answer(group, a_sample("bb")))
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(scorer.calls) == 1
        first.cancel()
        assert (await second).reward == 2.0

    async def test_when_all_fail_nothing_is_scored_or_kept(self) -> None:
        scorer = FakeScorer()
        barrier, group = Barrier(scorer, 60.0), a_group(2)
        barrier.miss(group)
        barrier.miss(group)
        assert (len(barrier), scorer.calls) == (0, [])

    async def test_a_scorer_s_error_reaches_everybody_who_waits(self) -> None:
        def broken(_: Sample) -> float:
            raise ConnectionError("no cluster")

        barrier, group = Barrier(FakeScorer(broken), 60.0), a_group(2)
        waiting = (barrier.answer(group, a_sample("a")), barrier.answer(group, a_sample("b")))
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionError, ConnectionError]

    async def test_a_group_of_one_waits_for_nobody(self) -> None:
        assert (await Barrier(FakeScorer(), 60.0).answer(a_group(1), a_sample("abc"))).reward == 3.0
