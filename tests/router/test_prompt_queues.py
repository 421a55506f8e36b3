from __future__ import annotations

import asyncio

from rayreward.router.affinity import choose_replica, prompt_key
from rayreward.router.batching import BatchLimits
from rayreward.router.coalescer import Coalescer, Send
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import Lane, open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.router.prompt_queues import Aimed, PromptQueues
from rayreward.router.sizing import BatchSizer, Spread
from rayreward.router.terms import Terms
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from tests.router.stages import Stage, said, turns

PROMPTS = [f"prompt {number}" for number in range(24)]


class Replicas:
    """Who runs, and what each was asked; whoever is asked by no name is None."""

    def __init__(self, *running: str, is_held: bool = False) -> None:
        self.running, self.is_held = list(running), is_held
        self.stages: dict[str | None, Stage] = {}

    def stage(self, replica: str | None) -> Stage:
        return self.stages.setdefault(replica, Stage(is_held=self.is_held))

    def queues(self, *, slot_count: int = 2, sizer: BatchSizer | None = None) -> PromptQueues:
        def open_queue(replica: str | None) -> Coalescer:
            send: Send = self.stage(replica)
            return Coalescer(send, slot_count=slot_count, limits=BatchLimits(), now=ManualClock(), sizer=sizer)

        return PromptQueues(lambda: self.running, open_queue)

    def scored(self) -> dict[str | None, set[str]]:
        return {
            replica: {sample.prompt for batch in stage.samples for sample in batch}
            for replica, stage in self.stages.items()
        }


def siblings(prompt: str, count: int = 4) -> list[Sample]:
    return [Sample(prompt=prompt, response="x" * size) for size in range(count)]


def expected(running: list[str]) -> dict[str | None, set[str]]:
    found: dict[str | None, set[str]] = {}
    for prompt in PROMPTS:
        found.setdefault(choose_replica(prompt_key(Sample(prompt=prompt, response="")), running), set()).add(prompt)
    return found


async def test_every_queue_keeps_to_the_tokens_of_a_call_those_that_open_later_too() -> None:
    replicas = Replicas("a")
    queues = replicas.queues()
    await queues.score(siblings("before"))
    queues.limit_tokens(2)
    await queues.score(siblings("after"))
    replicas.running = ["b"]
    await queues.score(siblings("later"))
    assert [len(batch) for batch in replicas.stages["a"].samples] == [4, 1, 1, 1, 1]
    assert [len(batch) for batch in replicas.stages["b"].samples] == [1, 1, 1, 1]


async def test_siblings_that_come_one_by_one_go_to_one_replica() -> None:
    replicas = Replicas("a", "b", "c")
    queues = replicas.queues()
    samples = [sample for prompt in PROMPTS for sample in siblings(prompt)]
    found = await asyncio.gather(*(queues.score([sample]) for sample in samples))
    assert [said(outputs) for outputs in found] == [[float(len(sample.response))] for sample in samples]
    assert replicas.scored() == expected(["a", "b", "c"])
    assert (queues.stats.sample_count, queues.stats.batch_count) == (len(samples), 3)


async def test_a_request_of_many_prompts_is_shared_out_and_put_back_in_order() -> None:
    replicas = Replicas("a", "b", "c")
    samples = [Sample(prompt=prompt, response="x" * at) for at, prompt in enumerate(PROMPTS)]
    assert said(await replicas.queues().score(samples)) == [float(at) for at in range(len(PROMPTS))]
    assert replicas.scored() == expected(["a", "b", "c"])


async def test_while_nobody_is_known_to_run_samples_wait_for_whoever_comes() -> None:
    replicas = Replicas()
    queues = replicas.queues()
    assert said(await queues.score(siblings("p"))) == [0.0, 1.0, 2.0, 3.0]
    replicas.running = ["a"]
    await queues.score(siblings("q"))
    assert replicas.scored() == {None: {"p"}, "a": {"q"}}


async def test_what_waits_for_a_replica_that_goes_is_sent_all_the_same_and_its_queue_is_forgotten() -> None:
    replicas = Replicas("a", is_held=True)
    queues = replicas.queues(slot_count=1)
    calls = [asyncio.create_task(queues.score(siblings("p", 1))) for _ in range(2)]
    await turns()
    calls.append(asyncio.create_task(queues.score(siblings("p", 2))))
    await turns()
    assert queues.waiting_count == queues.waiting.samples == 2
    replicas.running = ["b"]
    calls.append(asyncio.create_task(queues.score(siblings("p", 3))))
    await turns()
    assert queues.stats.in_flight_count == 2 + 3
    for stage in replicas.stages.values():
        stage.release()
    assert [len(outputs) for outputs in await asyncio.gather(*calls)] == [1, 1, 2, 3]
    await turns()
    replicas.running, replicas.is_held = ["c"], False
    await queues.score(siblings("p", 1))
    assert set(queues._queues) == {"c"}
    assert queues.stats.sample_count == 8, "what was counted stays counted"


async def test_no_replica_waits_for_another() -> None:
    replicas = Replicas("a", "b", is_held=True)
    queues = replicas.queues(slot_count=1)
    calls = [asyncio.create_task(queues.score(siblings(prompt))) for prompt in PROMPTS]
    await turns()
    replicas.stages["a"].release()
    await turns()
    assert {call.done() for call in calls} == {True, False}
    replicas.stages["b"].release()
    await asyncio.gather(*calls)


async def test_replicas_that_take_their_calls_in_turn_are_known_as_such_when_they_come_later() -> None:
    sizer = BatchSizer(Spread(1, 2))
    replicas = Replicas("a", is_held=True)
    queues = replicas.queues(sizer=sizer)
    queues.take_turns(True)
    calls = [asyncio.create_task(queues.score(siblings("p")))]
    await turns()
    calls.append(asyncio.create_task(queues.score(siblings("q"))))
    await turns()
    assert len(replicas.stages["a"].asked) == 1, "a second call would only wait there"
    replicas.stages["a"].release()
    await asyncio.gather(*calls)


async def test_closed_ones_take_nothing_more_for_anybody() -> None:
    replicas = Replicas("a", is_held=True)
    queues = replicas.queues()
    call = asyncio.create_task(queues.score(siblings("p")))
    await turns()
    await queues.close()
    assert set(said(await call)) == {"cancelled"}
    replicas.running = ["b"]
    assert set(said(await queues.score(siblings("p")))) == {"cancelled"}


class TestInALane:
    def lane(self, replicas: Replicas, policy: LanePolicy | None = None) -> Lane:
        lane = open_lane(
            replicas.stage(None),
            slot_count=1,
            limits=BatchLimits(),
            policy=policy or LanePolicy(),
            now=ManualClock(),
            aimed=Aimed(lambda: replicas.running, replicas.stage),
        )
        lane.learn(RewardFacts("v"))
        return lane

    async def test_prompts_belong_to_replicas(self) -> None:
        replicas = Replicas("a", "b", "c")
        lane = self.lane(replicas)
        samples = [sample for prompt in PROMPTS for sample in siblings(prompt)]
        await asyncio.gather(*(lane.score([sample], Terms()) for sample in samples))
        assert {replica: prompts for replica, prompts in replicas.scored().items() if replica} == expected(
            ["a", "b", "c"]
        )
        assert lane.stats("r").sample_count == len(samples)

    async def test_a_call_that_takes_too_long_is_made_again_to_whoever_is_there(self) -> None:
        replicas = Replicas("a", is_held=True)
        lane = self.lane(replicas, LanePolicy(hedge_after_s=0.0))
        replicas.stage(None).release()
        assert said(await lane.score(siblings("p"), Terms())) == [0.0, 1.0, 2.0, 3.0]
        assert replicas.scored() == {None: {"p"}, "a": {"p"}}
