from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from rayreward.router.batching import BatchLimits
from rayreward.router.coalescer import Coalescer, Gather
from rayreward.router.sizing import BatchSizer, Spread
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from rayreward.types import FailureKind, RewardOutput, Timings


def samples(*responses: str) -> list[Sample]:
    return [Sample(response=response) for response in responses]


def said(outputs: Sequence[RewardOutput]) -> list[float | str | None]:
    return [output.failure.kind.value if output.failure else output.score for output in outputs]


class Replica:
    """Answers each batch when it is told to; a sample's score is its response's length."""

    def __init__(self, *, is_held: bool = False, answer: Callable[[list[Sample]], Any] | None = None) -> None:
        self.batches: list[list[str]] = []
        self.most_at_once = self.at_once = 0
        self._answer = answer
        self._released = asyncio.Event()
        if not is_held:
            self._released.set()

    def release(self) -> None:
        self._released.set()

    async def __call__(self, batch: list[Sample]) -> Any:
        self.batches.append([sample.response for sample in batch])
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self._released.wait()
            if self._answer is not None:
                return self._answer(batch)
            return [RewardOutput(float(len(sample.response))) for sample in batch]
        finally:
            self.at_once -= 1


def coalescer(send: Callable[[list[Sample]], Awaitable[Any]], **options: Any) -> Coalescer:
    limits = BatchLimits(options.pop("max_samples", 256))
    return Coalescer(send, **{"slot_count": 1, "limits": limits, "now": ManualClock(), **options})


async def turns(count: int = 10) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


class TestCoalescing:
    async def test_a_burst_of_single_samples_travels_together(self) -> None:
        replica = Replica()
        lane = coalescer(replica)
        outputs = await asyncio.gather(*(lane.score(samples("x" * size)) for size in range(256)))
        assert [one[0].score for one in outputs] == [float(size) for size in range(256)]
        assert [len(batch) for batch in replica.batches] == [256]

    async def test_a_batch_holds_as_many_tokens_as_it_may(self) -> None:
        replica = Replica()
        lane = coalescer(replica, limits=BatchLimits(max_tokens=8))
        batch = [Sample(response="x", token_ids=[1] * count) for count in (4, 4, 1, 20)]
        await lane.score(batch)
        assert [len(sent) for sent in replica.batches] == [2, 1, 1]

    async def test_a_reward_may_say_how_many_tokens_a_call_carries_and_the_configuration_goes_before_it(self) -> None:
        batch = [Sample(response="x", token_ids=[1] * count) for count in (4, 4, 1, 20)]
        for limits, sizes in ((BatchLimits(), [3, 1]), (BatchLimits(max_tokens=8), [2, 1, 1])):
            replica = Replica()
            lane = coalescer(replica, limits=limits)
            lane.limit_tokens(12)
            await lane.score(batch)
            assert [len(sent) for sent in replica.batches] == sizes
        lane = coalescer(replica := Replica(), limits=BatchLimits())
        lane.limit_tokens(12)
        lane.limit_tokens(None)
        await lane.score(batch)
        assert [len(sent) for sent in replica.batches] == [4]

    async def test_what_waits_when_it_says_so_travels_as_it_would_have(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica)
        calls = [asyncio.create_task(lane.score([Sample(response="x", token_ids=[1] * 5)])) for _ in range(4)]
        await turns()
        calls += [asyncio.create_task(lane.score([Sample(response="y", token_ids=[1] * 5)])) for _ in range(2)]
        await turns()
        lane.limit_tokens(6)
        calls += [asyncio.create_task(lane.score([Sample(response="z", token_ids=[1] * 5)])) for _ in range(2)]
        await turns()
        assert lane.waiting.tokens == 10
        replica.release()
        await asyncio.gather(*calls)
        assert [len(sent) for sent in replica.batches] == [4, 3, 1]
        assert lane.waiting == (0, 0, 0)

    async def test_siblings_of_different_requests_leave_together_where_a_model_computes_their_prompt(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica)
        lane.limit_tokens(40)  # each sample is 11 tokens
        calls = [asyncio.create_task(lane.score([Sample(prompt="first", response="-", token_ids=[1] * 10)]))]
        await turns()
        for response in ("a1", "b1", "a2", "b2", "a3"):
            asked = Sample(prompt=response[0], response=response, token_ids=[1] * 11)
            calls.append(asyncio.create_task(lane.score([asked])))
        await turns()
        replica.release()
        answers = await asyncio.gather(*calls)
        assert replica.batches[1:] == [["a1", "a2", "a3"], ["b1", "b2"]]
        assert [said(outputs) for outputs in answers] == [[1.0], *[[2.0]] * 5]

    async def test_a_lone_sample_waits_for_nothing(self) -> None:
        replica = Replica()
        assert said(await coalescer(replica).score(samples("a"))) == [1.0]

    async def test_what_comes_while_the_slots_are_taken_fills_the_next_batch(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica)
        calls = [asyncio.create_task(lane.score(samples("a")))]
        await turns()
        calls += [asyncio.create_task(lane.score(samples(response))) for response in ("bb", "ccc")]
        await turns()
        assert replica.batches == [["a"]]
        assert lane.waiting_count == 2
        replica.release()
        assert [said(await call) for call in calls] == [[1.0], [2.0], [3.0]]
        assert replica.batches == [["a"], ["bb", "ccc"]]

    async def test_a_call_that_would_wait_in_its_replica_waits_here_and_grows(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica, slot_count=2, sizer=BatchSizer(Spread(slots_per_replica=2)))
        lane.take_turns(True)
        calls = []
        for response in ("a", "bb", "ccc"):
            calls.append(asyncio.create_task(lane.score(samples(response))))
            await turns()
        assert replica.batches == [["a"]]
        replica.release()
        assert [said(await call) for call in calls] == [[1.0], [2.0], [3.0]]
        assert replica.batches == [["a"], ["bb", "ccc"]]

    async def test_further_slots_are_for_batches_that_cannot_grow(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica, max_samples=2, full_slot_count=1)
        calls = []
        for responses in (("a",), ("b",), ("c",), ("d", "e")):
            calls.append(asyncio.create_task(lane.score(samples(*responses))))
            await turns()
        assert replica.batches == [["a"], ["b", "c"]]
        replica.release()
        assert [said(await call) for call in calls] == [[1.0], [1.0], [1.0], [1.0, 1.0]]
        assert replica.batches == [["a"], ["b", "c"], ["d", "e"]]

    async def test_a_large_call_is_split_over_the_slots_and_put_back_in_order(self) -> None:
        replica = Replica()
        lane = coalescer(replica, slot_count=3, max_samples=2)
        outputs = await lane.score(samples(*("x" * size for size in range(7))))
        assert said(outputs) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
        assert [len(batch) for batch in replica.batches] == [2, 2, 2, 1]
        assert replica.most_at_once <= 3

    async def test_batches_that_return_in_another_order_change_nothing(self) -> None:
        gates = {response: asyncio.Event() for response in ("a", "bb", "ccc")}

        async def send(batch: list[Sample]) -> list[RewardOutput]:
            await gates[batch[0].response].wait()
            return [RewardOutput(float(len(sample.response))) for sample in batch]

        lane = coalescer(send, slot_count=3, max_samples=1)
        call = asyncio.create_task(lane.score(samples(*gates)))
        for response in ("ccc", "a", "bb"):
            gates[response].set()
            await turns()
        assert said(await call) == [1.0, 2.0, 3.0]

    async def test_no_samples_make_no_batch(self) -> None:
        replica = Replica()
        assert await coalescer(replica).score([]) == []
        assert replica.batches == []


class TestWhatBreaks:
    async def test_an_error_of_the_call_fails_its_samples_and_frees_the_slot(self) -> None:
        def refuse_bad(batch: list[Sample]) -> list[RewardOutput]:
            if batch[0].response == "bad":
                raise ConnectionResetError("gone")
            return [RewardOutput(1.0) for _ in batch]

        lane = coalescer(Replica(answer=refuse_bad), max_samples=1)
        assert said(await lane.score(samples("a", "bad", "b"))) == [1.0, "error", 1.0]
        assert lane.stats.failure_counts == {"error": 1}
        assert lane.stats.in_flight_count == 0

    @pytest.mark.parametrize(
        "answer", [[], [RewardOutput(1.0)], [RewardOutput(1.0)] * 3, None, 5, "ab", {}, (one for one in "ab")]
    )
    async def test_a_wrong_number_of_outputs_fails_every_sample(self, answer: Any) -> None:
        lane = coalescer(Replica(answer=lambda batch: answer))
        assert said(await lane.score(samples("a", "b"))) == ["invalid_output"] * 2
        assert said(await lane.score(samples("c", "d"))) == ["invalid_output"] * 2

    async def test_outputs_that_are_none_cost_their_own_samples(self) -> None:
        lane = coalescer(Replica(answer=lambda batch: [RewardOutput(1.0), object()]))
        assert said(await lane.score(samples("a", "b"))) == [1.0, "invalid_output"]

    async def test_a_call_that_is_cancelled_on_its_way_fails_as_cancelled(self) -> None:
        def cancelled(batch: list[Sample]) -> None:
            raise asyncio.CancelledError

        lane = coalescer(Replica(answer=cancelled))
        for _ in range(2):
            assert said(await lane.score(samples("a"))) == ["cancelled"]


class TestSlots:
    async def test_more_are_used_at_once_and_fewer_as_soon_as_those_in_use_are_free(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica, max_samples=1)
        call = asyncio.create_task(lane.score(samples(*"abcdef")))
        await turns()
        assert len(replica.batches) == 1
        lane.resize(3)
        await turns()
        assert len(replica.batches) == 3
        lane.resize(1)
        await turns()
        assert replica.at_once == 3
        replica.release()
        assert len(await call) == 6
        assert replica.most_at_once == 3

    async def test_after_fewer_came_there_are_no_more_than_that(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica, max_samples=1, slot_count=4)
        lane.resize(2)
        call = asyncio.create_task(lane.score(samples(*"abcdef")))
        await turns()
        replica.release()
        assert len(await call) == 6
        assert replica.most_at_once == 2


class TestDeadline:
    async def test_what_has_no_answer_fails_as_timeout_and_the_rest_keeps_its_score(self) -> None:
        gate = asyncio.Event()

        async def send(batch: list[Sample]) -> list[RewardOutput]:
            if batch[0].response == "slow":
                await gate.wait()
            return [RewardOutput(1.0) for _ in batch]

        lane = coalescer(send, max_samples=1)
        outputs = await lane.score(samples("a", "slow", "never sent"), timeout_s=0.3)
        assert said(outputs) == [1.0, "timeout", "timeout"]
        gate.set()
        await turns()
        assert lane.stats.dropped_count == 1
        assert said(await lane.score(samples("a"))) == [1.0]

    async def test_a_late_answer_changes_nothing_that_was_answered(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica)
        outputs = await lane.score(samples("a"), timeout_s=0.0)
        replica.release()
        await turns()
        assert said(outputs) == ["timeout"]


class TestLeaving:
    async def test_a_caller_that_leaves_takes_its_waiting_samples_with_it(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica)
        staying = [asyncio.create_task(lane.score(samples("a")))]
        await turns()
        leaving = asyncio.create_task(lane.score(samples("gone", "gone too")))
        staying.append(asyncio.create_task(lane.score(samples("ccc"))))
        await turns()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        replica.release()
        assert [said(await call) for call in staying] == [[1.0], [3.0]]
        assert replica.batches == [["a"], ["ccc"]]
        assert lane.stats.dropped_count == 2

    async def test_one_that_leaves_while_its_samples_are_under_way_hurts_nobody_in_the_batch(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica)
        leaving, staying = (asyncio.create_task(lane.score(samples(response))) for response in ("a", "bb"))
        await turns()
        leaving.cancel()
        replica.release()
        assert said(await staying) == [2.0]

    async def test_a_batch_that_nobody_waits_for_any_longer_is_cancelled(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica)
        late, leaving = (
            asyncio.create_task(lane.score(samples(response), timeout_s=limit_s))
            for response, limit_s in (("a", 0.0), ("bb", None))
        )
        assert said(await late) == ["timeout"]
        await turns()
        assert lane.stats.in_flight_count == 2, "one of its samples is still wanted"
        leaving.cancel()
        await turns()
        assert (lane.stats.in_flight_count, replica.at_once) == (0, 0)
        replica.release()
        assert said(await lane.score(samples("ccc"))) == [3.0]

    async def test_closing_fails_what_waits_and_what_is_under_way(self) -> None:
        replica = Replica(is_held=True)
        lane = coalescer(replica)
        calls = [asyncio.create_task(lane.score(samples("a")))]
        await turns()
        calls.append(asyncio.create_task(lane.score(samples("b", "c"))))
        await turns()
        await lane.close()
        assert [said(await call) for call in calls] == [["cancelled"], ["cancelled"] * 2]
        assert said(await lane.score(samples("d"))) == ["cancelled"]
        assert replica.batches == [["a"]]
        await lane.close()


class TestRecord:
    async def test_each_sample_is_stamped_with_its_times(self) -> None:
        clock = ManualClock()

        def answer(batch: list[Sample]) -> list[RewardOutput]:
            clock.advance(2.0)
            return [RewardOutput(1.0, timings=Timings(computed_s=1.5), version="v")] * len(batch)

        replica = Replica(is_held=True, answer=answer)
        lane = coalescer(replica, now=clock)
        first = asyncio.create_task(lane.score(samples("a")))
        await turns()
        second = asyncio.create_task(lane.score(samples("b", "c")))
        await turns()
        clock.advance(1.0)
        replica.release()
        assert (await first)[0].timings == Timings(0.0, 3.0, 1.5, 1)
        assert (await second)[0].timings == Timings(3.0, 2.0, 1.5, 2)
        assert (await second)[0].version == "v"

    async def test_counts_what_went_through(self) -> None:
        lane = coalescer(Replica(answer=lambda batch: [RewardOutput.failed(FailureKind.TIMEOUT, "x")] * len(batch)))
        await lane.score(samples("a", "b"))
        assert (lane.stats.sample_count, lane.stats.batch_count) == (2, 1)
        assert lane.stats.failure_counts == {"timeout": 2}


class TestGathering:
    """Callers on threads of a pool come one by one, and wait for one another."""

    async def test_a_pool_full_of_callers_is_one_call(self) -> None:
        replica = Replica()
        lane = coalescer(replica, slot_count=2, gather=Gather(caller_count=4, quiet_s=600.0))

        async def caller(number: int) -> None:
            await turns(number)
            for _ in range(8):
                await lane.score(samples("x"))

        await asyncio.gather(*(caller(number) for number in range(4)))
        assert [len(batch) for batch in replica.batches] == [4] * 8

    async def test_a_lone_caller_leaves_when_nobody_else_comes(self) -> None:
        replica = Replica()
        lane = coalescer(replica, gather=Gather(caller_count=32, quiet_s=0.001))
        assert said(await lane.score(samples("ab"))) == [2.0]
        assert replica.batches == [["ab"]]


@pytest.mark.parametrize("turn_count", range(5))
async def test_whenever_it_is_closed_nobody_is_left_without_an_answer(turn_count: int) -> None:
    async def never(batch: list[Sample]) -> list[RewardOutput]:
        await asyncio.Event().wait()
        return []

    queue = coalescer(never)
    asking = asyncio.create_task(queue.score(samples("a", "b")))
    await turns(turn_count)
    await queue.close()
    async with asyncio.timeout(10):
        outputs = await asking
    assert [output.failure and output.failure.kind.value for output in outputs] == ["cancelled"] * 2
    assert queue.stats.in_flight_count == 0


async def test_a_batch_that_is_unwanted_before_it_has_begun_gives_its_slot_back() -> None:
    async def held(batch: list[Sample]) -> list[RewardOutput]:
        if batch[0].response != "c":
            await asyncio.Event().wait()
        return [RewardOutput(1.0)]

    queue = coalescer(held, slot_count=2, max_samples=1)
    first = asyncio.create_task(queue.score(samples("a")))
    await turns()
    second = asyncio.create_task(queue.score(samples("b")))
    asyncio.get_running_loop().call_soon(second.cancel)
    first.cancel()  # the look for those that are unwanted then comes between the second batch and its beginning
    await asyncio.gather(first, second, return_exceptions=True)
    await turns()
    assert queue.stats.in_flight_count == 0
    assert queue.is_idle
    assert queue._free_slots == 2
