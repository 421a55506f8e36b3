"""Whole checks, with rewards in processes of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from rayreward import RewardFunction
from rayreward.checking.check import CheckOptions, check_reward
from rayreward.checking.report import Report
from rayreward.errors import ConfigError
from tests.checking import rewards_to_check as rewards
from tests.checking.subjects import material
from tests.workers.conftest import children


async def check(function: Callable[..., Any], **options: Any) -> Report:
    before = children()
    report = await check_reward(RewardFunction(func=function), material(), CheckOptions(**options))
    assert children() <= before, "no process is left"
    return report


def levels(report: Report) -> dict[str, str]:
    return {finding.check: finding.level for finding in report.findings}


ALL_OK = dict.fromkeys(
    ("answers", "range", "determinism", "batching", "order", "speed", "hostile", "hacks"), "ok"
)  # fmt: skip


async def test_a_sound_reward_has_nothing_wrong_and_its_report_is_json() -> None:
    report = await check(rewards.last_word)
    assert report.ok
    assert levels(report) == ALL_OK
    assert report.range is not None
    assert report.range.mean == 0.5
    assert report.speed is not None
    assert report.speed.samples == 10
    assert len(report.hostile) == 25
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report


async def test_a_random_reward_is_found_and_what_follows_from_it_is_not_repeated() -> None:
    report = await check(rewards.dice)
    found = levels(report)
    assert not report.ok
    assert (found["determinism"], found["batching"], found["order"]) == ("wrong", "skipped", "skipped")


async def test_a_hash_differs_between_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    report = await check(rewards.by_hash, skip=("hacks", "hostile"))
    [finding] = [finding for finding in report.findings if finding.level == "wrong"]
    assert finding.found.startswith("in another process ")


@pytest.mark.parametrize(
    ("function", "what"),
    [
        (rewards.hangs_on_nothing, "response: empty (hangs)"),
        (rewards.dies_on_nothing, "response: empty (kills its process)"),
        (rewards.share, "response: empty (gives no valid score)"),
    ],
)
async def test_a_reward_that_an_empty_response_breaks_is_reported(function: Callable[..., Any], what: str) -> None:
    report = await check(function, skip=("speed", "determinism"))
    [hostile] = [finding for finding in report.findings if finding.check == "hostile"]
    assert hostile.level == "wrong"
    assert what in hostile.found
    assert levels(report)["answers"] == "ok"


async def test_a_reward_that_always_hangs_ends_the_check_soon_though_it_declares_to_run_inline() -> None:
    report = await check(rewards.hangs_always)
    found = levels(report)
    assert (found["answers"], found["hostile"]) == ("wrong", "wrong")
    assert {found[name] for name in ("range", "determinism", "batching", "order", "speed", "hacks")} == {"skipped"}


async def test_a_missing_column_is_named() -> None:
    report = await check(rewards.needs_key, skip=("hostile",))
    assert levels(report)["answers"] == "wrong"
    assert "needs 'key'" in report.findings[0].found


async def test_probes_can_be_skipped_by_name_and_only_by_one_that_exists() -> None:
    report = await check(rewards.dice, skip=("determinism", "speed", "batching", "order", "hacks", "hostile"))
    assert levels(report) == {"answers": "ok", "range": "ok"}
    with pytest.raises(ConfigError, match="did you mean 'hacks'"):
        CheckOptions(skip=("hack",))


async def test_the_deadline_can_be_set_and_the_reward_keeps_its_own() -> None:
    reward = RewardFunction(func=rewards.hangs_on_nothing)
    report = await check_reward(reward, material(), CheckOptions(timeout_s=0.1, skip=("hacks",)))
    assert "within 0.1 s" in report.hostile[0].found
    assert (reward.timeout_s, reward.isolation) == (0.3, "process")
