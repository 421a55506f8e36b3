from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rayreward.log.record import RewardLog
from rayreward.router.shadows import Shadows, telling
from rayreward.router.terms import PRIORITIES, Terms
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput
from tests.router.stages import Stage, failed, samples, turns

TERMS = Terms(timeout_s=1.0, caller="ppo", group_size=4)


def tell_nobody(*_: Any) -> None:
    return


def shadows(stage: Any, **limits: int) -> Shadows:
    return Shadows(stage, tell=tell_nobody, **limits)


def ones(asked: Sequence[Sample]) -> list[RewardOutput]:
    return [RewardOutput(1.0) for _ in asked]


async def test_shadows_are_scored_last_without_their_callers_deadline_and_compared() -> None:
    stage = Stage(answer=lambda sample: RewardOutput(float(len(sample.response)), version="v2"))
    behind = shadows(stage)
    asked = samples("a", "bbb")
    behind.start(asked, ones(asked), TERMS)
    assert behind.comparison.compared_count == 0, "they start when nobody waits"
    await turns()
    [terms] = stage.terms
    assert (terms.priority, terms.caller, terms.group_size) == (PRIORITIES["batch"], "ppo", 4)
    assert terms.timeout_s is not None
    assert terms.timeout_s > 1.0
    found = behind.comparison
    assert (found.version, found.compared_count, found.mean_absolute_difference, found.equal_share) == (
        "v2", 2, 1.0, 0.5,
    )  # fmt: skip


async def test_what_the_live_version_could_not_score_is_not_scored_again() -> None:
    stage = Stage()
    asked = samples("a", "b")
    shadows(stage).start(asked, [failed(FailureKind.UNAVAILABLE), RewardOutput(1.0)], TERMS)
    await turns()
    assert stage.asked == [["b"]]


async def test_when_too_many_are_under_way_whole_groups_are_dropped_and_counted() -> None:
    stage = Stage(is_held=True)
    behind = shadows(stage, max_samples=3)
    first = [*samples("a", "b", prompt="p"), *samples("c", "d", prompt="q"), *samples("e", prompt="r")]
    behind.start(first, ones(first), TERMS)
    await turns()
    assert stage.asked == [["a", "b", "e"]]
    assert behind.comparison.dropped_count == 2
    stage.release()
    await turns()
    behind.start(first[2:4], ones(first[2:4]), TERMS)
    await turns()
    assert stage.asked[1:] == [["c", "d"]]


async def test_their_texts_are_bounded_too() -> None:
    stage = Stage()
    behind = shadows(stage, max_bytes=1000)
    asked = samples("x" * 2000, prompt="p") + samples("y", prompt="q")
    behind.start(asked, ones(asked), TERMS)
    await turns()
    assert stage.asked == [["y"]]


async def test_closed_they_end_and_none_starts() -> None:
    stage = Stage(is_held=True)
    behind = shadows(stage)
    asked = samples("a")
    behind.start(asked, ones(asked), TERMS)
    await turns()
    await behind.close()
    behind.start(asked, ones(asked), TERMS)
    await turns()
    assert stage.asked == [["a"]]
    assert len(asyncio.all_tasks()) == 1


async def test_a_candidate_that_breaks_the_rules_hurts_nobody_and_later_ones_are_scored() -> None:
    async def broken(asked: Sequence[Sample], _terms: Terms) -> list[RewardOutput]:
        raise ValueError("a bug")

    behind = shadows(broken, max_samples=1)
    asked = samples("a")
    for _ in range(2):
        behind.start(asked, ones(asked), TERMS)
        await turns()
    assert behind.comparison.dropped_count == 0


async def test_they_are_logged_as_shadows(tmp_path: Path) -> None:
    log = RewardLog(tmp_path, writer="w")
    asked = samples("bb")
    Shadows(Stage(), tell=telling(log, "math")).start(asked, ones(asked), TERMS)
    await turns()
    log.close()
    [line] = [json.loads(line) for line in log.path.read_text().splitlines()]
    assert (line["reward"], line["run"], line["score"], line["answered"], line["is_shadow"]) == (
        "math", "ppo", 2.0, None, True,
    )  # fmt: skip
