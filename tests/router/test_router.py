from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rayreward.errors import InvalidInputError, UnknownRewardError
from rayreward.log.record import RewardLog
from rayreward.router.batching import BatchLimits
from rayreward.router.coalescer import Coalescer
from rayreward.router.router import Lane, Router
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from rayreward.types import FailureKind, RewardOutput


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
