from __future__ import annotations

import asyncio
import importlib.util
import math
from collections.abc import Iterator
from typing import Any

import pytest

from rayreward.client.filled import FilledScore, close_shared_clients
from rayreward.errors import ConfigError, UnknownRewardError
from rayreward.testing import ScriptedReward
from rayreward.trainers import verl as plug_in
from rayreward.trainers.verl_protocol import VerlSettings, sample_of, told
from rayreward.types import FailureKind, RewardOutput
from tests.live import live_service

SCRIPT = {"good": (1.0, {"format": 1.0}), "fair": (0.5, {"format": 0.5}), "bad": ValueError("no")}


@pytest.fixture
def options() -> Iterator[dict[str, Any]]:
    with live_service({"scripted": ScriptedReward(SCRIPT)}) as url:
        yield {"reward": "scripted", "endpoint": url, "components": ["format"]}
        close_shared_clients()


def test_every_sample_has_the_same_keys_and_a_finite_score(options: dict[str, Any]) -> None:
    found = plug_in.compute_score_batch(
        data_sources=["sums"] * 3,
        solution_strs=["bad", "good", "fair"],
        ground_truths=["2"] * 3,
        extra_infos=[{"index": 1}] * 3,
        **options,
    )
    assert [(one["score"], one["reward_valid"], one["reward_failure"]) for one in found] == [
        (0.75, 0.0, "error"),
        (1.0, 1.0, ""),
        (0.5, 1.0, ""),
    ]
    assert len({tuple(one) for one in found}) == 1
    assert math.isnan(found[0]["reward/format"])
    assert found[1]["reward/format"] == 1.0


def test_one_by_one_siblings_are_known_by_the_prompt_or_their_row(options: dict[str, Any]) -> None:
    assert plug_in.compute_score("sums", "fair", "2", {"question": "1 + 1?"}, **options)["score"] == 0.5
    assert plug_in.compute_score("sums", "good", "4", {"index": 2}, **options)["score"] == 1.0
    assert plug_in.compute_score("sums", "bad", "2", {"question": "1 + 1?"}, **options)["score"] == 0.5
    assert plug_in.compute_score("sums", "bad", "4", {"index": 2}, **options)["score"] == 1.0
    assert plug_in.compute_score("sums", "bad", "4", {"index": 2}, fallback=-1, **options)["score"] == -1


async def test_what_is_asked_at_the_same_time_travels_together(options: dict[str, Any]) -> None:
    calls = [plug_in.acompute_score("sums", text, "2", None, **options) for text in ("good", "fair", "good")]
    assert [one["score"] for one in await asyncio.gather(*calls)] == [1.0, 0.5, 1.0]
    await VerlSettings.of(options).client().aclose()


def test_components_are_only_those_that_were_named() -> None:
    scored = FilledScore(1.0, RewardOutput(1.0, {"format": 0.5, "other": 1.0}))
    failed = FilledScore(0.5, RewardOutput.failed(FailureKind.TIMEOUT, "late"))
    assert set(told(scored, ())) == set(told(failed, ())) == {"score", "reward_valid", "reward_failure"}
    assert told(scored, ("format",))["reward/format"] == 0.5
    assert told(failed, ("format",)).keys() == told(scored, ("format",)).keys()


def test_columns_go_to_the_reward_as_what_json_can_hold() -> None:
    sample, _ = sample_of("sums", "4", {"answer": 4}, {"rollout_reward_scores": {}, "odd": {1}, "num_turns": None})
    assert sample.label == {"answer": 4}
    assert sample.metadata == {"rollout_reward_scores": {}, "odd": [1], "num_turns": None, "data_source": "sums"}


def test_a_mistake_in_the_configuration_stops_the_training(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="there is no 'rewards'; did you mean 'reward'"):
        plug_in.compute_score("sums", "good", "2", rewards="math")
    with pytest.raises(UnknownRewardError, match="scripted"):
        plug_in.compute_score("sums", "good", "2", reward="scriptet", endpoint=options["endpoint"])
    assert VerlSettings.of({"reward_router_address": "10.0.0.1:1", "reward_model_tokenizer": None}) == VerlSettings()


def test_it_may_be_loaded_as_a_file_as_verl_does(options: dict[str, Any]) -> None:
    place = importlib.util.spec_from_file_location("custom_module_1", plug_in.__file__)
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)  # and it stays out of sys.modules
    assert module.compute_score("sums", "good", "2", None, **options)["score"] == 1.0
