from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import BackpressureError, InvalidInputError, UnknownRewardError
from rayreward.log.record import RewardLog
from rayreward.router.admission import AdmissionPolicy, WaitingLimit
from rayreward.router.batching import BatchLimits
from rayreward.router.coalescer import Coalescer
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.router.router import Lane, Router
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from rayreward.types import FailureKind, RewardOutput
from rayreward.workers.outcomes import give_up, settled
from tests.router.stages import Stage, turns


def lane(*outputs: RewardOutput) -> Lane:
    async def send(batch: list[Sample]) -> Sequence[RewardOutput]:
        return outputs[: len(batch)]

    return Lane(Coalescer(send, slot_count=1, limits=BatchLimits(), now=ManualClock()))


@pytest.fixture
def router(tmp_path: Path) -> Iterator[Router]:
    failed = RewardOutput.failed(FailureKind.TIMEOUT, "slow", version="v2")
    lanes = {"first": lane(RewardOutput(1.0, version="v1"), failed), "second": lane(RewardOutput(0.5))}
    log = RewardLog(tmp_path, writer="w")
    yield Router(lanes, main_reward="second", log=log)
    log.close()


async def test_scores_by_name_and_by_the_main_reward_without_one(router: Router) -> None:
    assert (await router.score("first", [Sample(response="a")]))[0].score == 1.0
    assert (await router.score(None, [Sample(response="a")]))[0].score == 0.5
    assert await router.score(None, []) == []


async def test_an_unknown_name_is_answered_with_the_known_ones(router: Router) -> None:
    with pytest.raises(
        UnknownRewardError, match=r"no reward 'frist' is served here; did you mean 'first'.*first, second"
    ):
        await router.score("frist", [])


async def test_a_reward_is_ready_as_soon_as_a_replica_has_answered(router: Router) -> None:
    assert not router.is_ready
    await router.score("first", [Sample(response="a"), Sample(response="b")])
    infos = {info.name: (info.state, info.version) for info in router.describe()}
    assert infos == {"first": ("ready", "v2"), "second": ("starting", None)}


async def test_what_was_answered_is_logged(router: Router) -> None:
    samples = [Sample(response="a"), Sample(response="b")]
    outputs = await router.score("first", samples)
    router.record("first", samples, outputs, run="r")
    assert router.log is not None
    router.log.close()
    lines = [json.loads(line) for line in router.log.path.read_text().splitlines()]
    assert [(line["score"], line["answered"], line["failure_kind"]) for line in lines] == [
        (1.0, 1.0, None),
        (None, None, "timeout"),
    ]


async def test_an_unknown_priority_is_answered_with_the_known_ones(router: Router) -> None:
    with pytest.raises(InvalidInputError, match=r"no priority 'trian'; did you mean 'train'.*batch, eval, train"):
        await router.score("first", [Sample(response="a")], priority="trian")  # type: ignore[arg-type]


async def test_says_what_is_going_on(router: Router) -> None:
    await router.score("first", [Sample(response="a"), Sample(response="b")])
    stats = router.stats()
    assert (stats.inside_samples, stats.inside_bytes, stats.held_count, stats.refused_count) == (0, 0, 0, 0)
    first, second = stats.lanes
    assert (first.reward, first.sample_count, first.batch_count, first.failure_counts) == (
        "first",
        2,
        1,
        {"timeout": 1},
    )
    assert (second.reward, second.state, second.sample_count) == ("second", "starting", 0)


class TestBegin:
    """Samples of a client that asks for many callers at once."""

    @staticmethod
    def router_to(send: Any, facts: RewardFacts, **options: Any) -> Router:
        lane = open_lane(send, slot_count=8, limits=BatchLimits(max_samples=1), policy=LanePolicy(), now=ManualClock())
        lane.learn(facts)
        return Router({"r": lane}, main_reward="r", now=ManualClock(), **options)

    async def test_what_is_not_known_soon_is_a_future_of_its_own(self) -> None:
        go = asyncio.Event()

        async def send(batch: list[Sample]) -> list[RewardOutput]:
            if batch[0].response == "slow":
                await go.wait()
            return [RewardOutput(float(len(sample.response))) for sample in batch]

        router = self.router_to(send, RewardFacts("v"))
        asked = [Sample(response=text) for text in ("a", "slow", "bb", "slow")]
        outcomes = await router.begin(None, asked, patience_s=0.01)
        assert [isinstance(one, RewardOutput) for one in outcomes] == [True, False, True, False]
        assert router.stats().inside_samples == 2
        go.set()
        assert [output.score for output in await settled(outcomes)] == [1.0, 4.0, 2.0, 4.0]
        assert router.stats().inside_samples == 0

    async def test_to_give_one_up_gives_up_no_other(self) -> None:
        go, given_up = asyncio.Event(), list[str]()

        async def send(batch: list[Sample]) -> list[RewardOutput]:
            try:
                await go.wait()
            except asyncio.CancelledError:
                given_up.append(batch[0].response)
                raise
            return [RewardOutput(1.0) for _ in batch]

        router = self.router_to(send, RewardFacts("v"))
        leaves, stays = await router.begin(None, [Sample(response="leaves"), Sample(response="stays")], patience_s=0.01)
        give_up([leaves])
        await turns()
        assert given_up == ["leaves"]
        assert router.stats().inside_samples == 1
        go.set()
        assert [output.score for output in await settled([stays])] == [1.0]

    async def test_a_group_is_known_together_and_so_is_all_of_some_rewards(self) -> None:
        stage = Stage()
        asked = [Sample(response=text, group_id=text[0], group_size=2) for text in ("a", "b", "aa", "bb")]
        compares = self.router_to(stage, RewardFacts("v", compares_groups=True))
        assert compares.lanes["r"].parts(asked) == [[0, 2], [1, 3]]
        assert [output.score for output in await settled(await compares.begin(None, asked))] == [1.0, 1.0, 2.0, 2.0]
        quick = self.router_to(stage, RewardFacts("v", knows_each=False))
        assert quick.lanes["r"].parts(asked) is None
        assert [one.score for one in await quick.begin(None, asked) if isinstance(one, RewardOutput)] == [1, 1, 2, 2]
        assert self.router_to(stage, RewardFacts("v")).lanes["r"].parts(asked) == [[0], [1], [2], [3]]

    async def test_where_there_is_no_room_it_is_refused_or_held_as_a_whole(self) -> None:
        stage = Stage(is_held=True)
        policy = AdmissionPolicy(total=WaitingLimit(max_samples=2), turn_wait_s=0.0)
        router = self.router_to(stage, RewardFacts("v"), admission=policy)
        first = await router.begin(None, [Sample(response="a"), Sample(response="b")], patience_s=0.01)
        with pytest.raises(BackpressureError):
            await router.begin(None, [Sample(response="c")])
        held = await router.begin(None, [Sample(response="c")], timeout_s=0.01, is_held=True)
        assert [output.failure.kind.value for output in await settled(held) if output.failure] == ["rejected"]
        waiting = asyncio.create_task(router.begin(None, [Sample(response="c")], timeout_s=60.0, is_held=True))
        await turns()
        stage.release()
        assert [output.score for output in await settled([*first, *await waiting])] == [1.0] * 3

    async def test_without_samples_nothing_is_known(self) -> None:
        assert await self.router_to(Stage(), RewardFacts("v")).begin(None, []) == []
