"""A slow sample and its neighbours, from the router's lane through a replica to the reward's processes, without Ray."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rayreward.batches import AskedAgain, EarlyBatch, Rest
from rayreward.router.asking_again import ask_again
from rayreward.router.batching import BatchLimits
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import Lane, open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.router.terms import Terms
from rayreward.sample import Sample
from rayreward.serve.replica import RewardReplica
from rayreward.spec import RewardSpec
from rayreward.testing import ManualClock
from rayreward.types import RewardOutput
from tests.processes import is_gone
from tests.router.stages import said, samples
from tests.serve.waiting import begun

REWARDS = Path(__file__).with_name("slow_rewards.py")
LONG_S = 120.0
"""A deadline that no test waits for: what is answered before it was not held up by a hang."""

HEALTHY = 63


class Replica(RewardReplica):
    def __del__(self) -> None:  # Serve awaits the real one, the garbage collector does not
        return


class Service:
    """One reward's lane, and the replicas behind it; calls go to the first that was not lost."""

    def __init__(self, replicas: Sequence[RewardReplica], **policy: Any) -> None:
        self.replicas = list(replicas)
        self.on_asked_again: Callable[[], Any] | None = None
        self.lane: Lane = open_lane(
            self._send, slot_count=1, limits=BatchLimits(), policy=LanePolicy(**policy), now=ManualClock()
        )

    async def _send(self, batch: list[Sample]) -> Sequence[RewardOutput]:
        if not isinstance(batch, AskedAgain):
            return await self._score(batch)
        if self.on_asked_again is not None:
            await self.on_asked_again()
        return await ask_again(batch, rest=self._rest, score=self._score)

    async def _score(self, batch: list[Sample]) -> Sequence[RewardOutput]:
        outputs = await self.replicas[0].score(pickle.loads(pickle.dumps(batch)), may_be_early=True)
        answered: Sequence[RewardOutput] = pickle.loads(pickle.dumps(outputs))
        return answered

    async def _rest(self, tickets: Sequence[str]) -> Rest:
        rest: Rest = pickle.loads(pickle.dumps(await self.replicas[0].rest(tickets)))
        return rest

    def ask(self, response: str, timeout_s: float | None = None) -> asyncio.Task[list[RewardOutput]]:
        return asyncio.create_task(self.lane.score(samples(response), Terms(timeout_s)))

    async def lose_the_first(self) -> None:
        await RewardReplica.__del__(self.replicas.pop(0))


Open = Callable[..., Any]


@pytest.fixture
async def open_service() -> AsyncIterator[Open]:
    made: list[Service] = []

    async def open_service(name: str = "waits", *, replicas: int = 1, policy: Any = None, **settings: Any) -> Service:
        spec = RewardSpec.parse(
            {"name": "r", "import_path": f"{REWARDS}::{name}", "timeout_s": LONG_S, **settings}, source="tests"
        )
        started = [Replica.__new__(Replica) for _ in range(replicas)]
        for replica in started:
            await replica.__init__(spec)  # type: ignore[misc]
            await replica.score(samples("the first of its process"))
        made.append(Service(started, **(policy or {})))
        made[-1].lane.learn(RewardFacts.of(started[0]._reward, "v"))
        return made[-1]

    yield open_service
    for service in made:
        await service.lane.close()
        while service.replicas:
            await service.lose_the_first()


@pytest.mark.parametrize("settings", [{}, {"process_count": 2}])
async def test_a_slow_sample_holds_up_nobody_and_is_scored_once(
    open_service: Open, tmp_path: Path, settings: Any
) -> None:
    service, file = await open_service(**settings), tmp_path / "go"
    slow = service.ask(f"until {file}")
    healthy = [service.ask("a" * size) for size in range(HEALTHY)]
    assert [said(outputs) for outputs in await asyncio.gather(*healthy)] == [[float(size)] for size in range(HEALTHY)]
    later = [service.ask("later") for _ in range(3)]
    assert [said(outputs) for outputs in await asyncio.gather(*later)] == [[5.0]] * 3
    assert not slow.done()
    assert service.lane.stats("r").in_flight_count == 1
    file.touch()
    [output] = await slow
    assert output.score == len(f"until {file}")
    assert output.version == service.lane.version
    assert len(await begun(file)) == 1
    stats = service.lane.stats("r")
    assert (stats.in_flight_count, stats.sample_count, stats.failure_counts) == (0, HEALTHY + 4, {})


async def test_one_that_hangs_for_ever_fails_at_its_own_deadline(open_service: Open, tmp_path: Path) -> None:
    service = await open_service(timeout_s=1.0)
    hung = service.ask(f"until {tmp_path / 'never'}")
    assert said(await service.ask("a")) == [1.0]
    assert not hung.done()
    assert said(await hung) == ["timeout"]
    assert await is_gone((await begun(tmp_path / "never"))[0])
    assert service.lane.stats("r").failure_counts == {"timeout": 1}


async def test_several_slow_ones_hold_up_neither_others_nor_each_other(open_service: Open, tmp_path: Path) -> None:
    service = await open_service()
    files = [tmp_path / str(number) for number in range(4)]
    slow = [service.ask(f"until {file}") for file in files]
    assert said(await service.ask("aa")) == [2.0]
    for file, task in reversed(list(zip(files, slow, strict=True))):
        assert not task.done()
        file.touch()
        assert said(await task) == [float(len(f"until {file}"))]
    assert [len(await begun(file)) for file in files] == [1] * 4


async def test_when_its_replica_is_lost_it_is_scored_by_another(open_service: Open, tmp_path: Path) -> None:
    service, file = await open_service(replicas=2), tmp_path / "never"
    service.on_asked_again = service.lose_the_first
    slow, healthy = service.ask(f"until {file} once"), service.ask("a")
    assert said(await healthy) == [1.0]
    assert said(await slow) == [float(len(f"until {file} once"))]
    first, second = await begun(file)
    assert await is_gone(first)
    assert first != second
    assert service.lane.stats("r").sample_count == 2


async def test_a_caller_that_leaves_takes_its_slow_sample_along(open_service: Open, tmp_path: Path) -> None:
    service, file = await open_service(), tmp_path / "never"
    is_asked_again = asyncio.Event()

    async def note() -> None:
        is_asked_again.set()

    service.on_asked_again = note
    slow = service.ask(f"until {file}")
    await is_asked_again.wait()
    slow.cancel()
    await asyncio.wait({slow})
    assert await is_gone((await begun(file))[0])
    assert said(await service.ask("a")) == [1.0]


async def test_a_callers_deadline_counts_as_ever(open_service: Open, tmp_path: Path) -> None:
    service, file = await open_service(), tmp_path / "never"
    slow = service.ask(f"until {file}", timeout_s=1.0)
    assert said(await service.ask("a")) == [1.0]
    assert said(await slow) == ["timeout"]
    assert await is_gone((await begun(file))[0])


async def test_one_that_leaves_before_its_call_is_answered_leaves_nothing_behind(
    open_service: Open, tmp_path: Path
) -> None:
    service, file = await open_service(), tmp_path / "never"
    slow, healthy = service.ask(f"until {file}"), service.ask("a")
    pids = await begun(file)
    slow.cancel()
    assert said(await healthy) == [1.0]
    assert await is_gone(pids[0])
    assert service.lane.coalescer.stats.in_flight_count == 0


async def test_a_deterministic_rewards_twin_waits_for_the_slow_one_and_its_score_is_kept(
    open_service: Open, tmp_path: Path
) -> None:
    service, file = await open_service("waits", policy={"cache_entries": 10}), tmp_path / "go"
    version = (await service.replicas[0].probe()).version
    service.lane.learn(RewardFacts(version, is_reusable=True))
    twins = [service.ask(f"until {file}") for _ in range(3)]
    assert said(await service.ask("a")) == [1.0]
    assert not any(twin.done() for twin in twins)
    file.touch()
    assert {said(await twin)[0] for twin in twins} == {float(len(f"until {file}"))}
    assert said(await service.ask(f"until {file}")) == [float(len(f"until {file}"))]
    assert len(await begun(file)) == 1


async def test_a_reward_that_answers_each_on_its_thread_holds_up_nobody(open_service: Open, tmp_path: Path) -> None:
    service, file = await open_service("AnswersInTurn"), tmp_path / "go"
    slow, healthy = service.ask(f"until {file}"), service.ask("a")
    assert said(await healthy) == [1.0]
    assert not slow.done()
    file.touch()
    assert said(await slow) == [float(len(f"until {file}"))]


async def test_a_hostile_answer_holds_up_no_other_mathematics() -> None:
    pytest.importorskip("math_verify")
    spec = RewardSpec.parse({"name": "r", "builtin": "math", "timeout_s": LONG_S}, source="tests")
    replica = Replica.__new__(Replica)
    await replica.__init__(spec)  # type: ignore[misc]
    try:
        hostile = Sample(prompt="", response=r"\boxed{\int_0^{\infty} e^{-x^{x^2}} dx}", label=r"\int_0^\infty x dx")
        right = Sample(prompt="", response=r"\boxed{7}", label="7")
        outputs = await replica.score([right, hostile, right], may_be_early=True)
        assert isinstance(outputs, EarlyBatch)
        assert list(outputs.tickets) == [1]
        assert [outputs[0].score, outputs[2].score] == [1.0, 1.0]
    finally:
        await RewardReplica.__del__(replica)


async def test_a_call_that_is_not_asked_to_be_early_has_everything(open_service: Open, tmp_path: Path) -> None:
    service, file = await open_service(), tmp_path / "go"
    task = asyncio.create_task(service.replicas[0].score(samples("a", f"until {file}")))
    await begun(file)
    file.touch()
    assert said(await task) == [1.0, float(len(f"until {file}"))]
