from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rayreward.router.cache import ResultCache
from rayreward.router.lookup import Lookup
from rayreward.router.terms import Terms
from rayreward.sample import Sample
from rayreward.testing import ManualClock
from rayreward.types import RewardOutput
from tests.router.stages import Stage, failed, said, samples, turns


class Landing(Stage):
    """A stage whose batches land as the router's do."""

    lookup: Lookup

    async def __call__(self, samples: Sequence[Sample], terms: Terms | None = None) -> list[RewardOutput]:
        outputs = await super().__call__(samples, terms)
        self.lookup.land(samples, outputs)
        return outputs


def lookup(stage: Landing) -> Lookup:
    stage.lookup = Lookup(ResultCache(max_entries=100, max_bytes=10**6), stage, now=ManualClock())
    return stage.lookup


async def asked(front: Lookup, *responses: str, timeout_s: float | None = None, priority: int = 0) -> list[object]:
    return [*said(await front.score(samples(*responses), Terms(timeout_s, priority), version="v"))]


async def test_what_was_asked_before_is_not_asked_again() -> None:
    stage = Landing()
    front = lookup(stage)
    assert await asked(front, "a", "bb") == [1.0, 2.0]
    assert await asked(front, "bb", "ccc", "a") == [2.0, 3.0, 1.0]
    assert stage.asked == [["a", "bb"], ["ccc"]]
    assert (front.stats.hit_count, front.stats.miss_count) == (2, 3)


async def test_twins_in_one_call_and_in_many_are_scored_once() -> None:
    stage = Landing(is_held=True)
    front = lookup(stage)
    calls = [asyncio.create_task(asked(front, "a", "a", "bb")) for _ in range(3)]
    await turns()
    stage.release()
    assert [await call for call in calls] == [[1.0, 1.0, 2.0]] * 3
    assert stage.asked == [["a", "bb"]]
    assert front.stats.twin_count == 7


async def test_a_failure_goes_to_the_twins_and_is_asked_again_later() -> None:
    stage = Landing(answer=lambda sample: failed())
    front = lookup(stage)
    assert await asked(front, "a", "a") == ["error", "error"]
    assert await asked(front, "a") == ["error"]
    assert stage.asked == [["a"], ["a"]]


async def test_another_version_asks_anew() -> None:
    stage = Landing()
    front = lookup(stage)
    await front.score(samples("a"), Terms(), version="v1")
    await front.score(samples("a"), Terms(), version="v2")
    assert stage.asked == [["a"], ["a"]]


async def test_a_score_is_kept_under_the_version_that_gave_it() -> None:
    stage = Landing(answer=lambda sample: RewardOutput(1.0, version="v2"))
    front = lookup(stage)
    await front.score(samples("a"), Terms(), version="v1")
    await front.score(samples("a"), Terms(), version="v2")
    assert stage.asked == [["a"]]


async def test_when_the_leader_leaves_its_twin_asks_for_itself() -> None:
    stage = Landing(is_held=True)
    front = lookup(stage)
    leader = asyncio.create_task(asked(front, "a"))
    await turns()
    twin = asyncio.create_task(asked(front, "a"))
    await turns()
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    stage.release()
    assert await twin == [1.0]
    assert stage.asked == [["a"], ["a"]]


async def test_a_twin_that_waits_too_long_fails_as_late_and_the_leader_goes_on() -> None:
    stage = Landing(is_held=True)
    front = lookup(stage)
    leader = asyncio.create_task(asked(front, "a"))
    await turns()
    assert await asked(front, "a", timeout_s=0.0) == ["timeout"]
    stage.release()
    assert await leader == [1.0]


async def test_a_sample_of_a_training_does_not_wait_for_a_batch_jobs_twin() -> None:
    stage = Landing(is_held=True)
    front = lookup(stage)
    slow = asyncio.create_task(asked(front, "a", priority=2))
    await turns()
    urgent = asyncio.create_task(asked(front, "a", priority=0))
    await turns()
    assert stage.asked == [["a"], ["a"]]
    stage.release()
    assert (await slow, await urgent) == ([1.0], [1.0])


async def test_a_sample_without_an_exact_form_is_always_scored() -> None:
    stage = Landing()
    front = lookup(stage)
    sample = Sample(response="a", label=object())
    outputs = await front.score([sample, sample], Terms(), version="v")
    assert said(outputs) == [1.0, 1.0]
    assert stage.asked == [["a", "a"]]


async def test_the_same_object_twice_is_one_sample() -> None:
    stage = Landing()
    front = lookup(stage)
    assert said(await front.score(samples("a") * 3, Terms(), version="v")) == [1.0] * 3
    assert stage.asked == [["a"]]


async def test_an_error_behind_leaves_nobody_waiting() -> None:
    stage = Landing(answer=lambda sample: ValueError("a bug"))
    front = lookup(stage)
    for _ in range(2):
        with pytest.raises(ValueError, match="a bug"):
            await asked(front, "a")
