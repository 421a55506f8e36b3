"""With objects that have the fields of slime's own arguments and samples; slime itself is on no package index."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from rayreward.client.filled import aclose_shared_clients
from rayreward.testing import ScriptedReward, served
from rayreward.trainers.slime import reward, sample_of
from tests.live import listening

SCRIPT = {"good": (1.0, {"format": 0.5}), "fair": (0.5, {"format": 0.25}), "bad": ValueError("no")}


@dataclass
class SlimeSample:
    """The fields of slime's `Sample` that a reward may use."""

    response: str = ""
    prompt: Any = "1 + 1?"
    label: Any = "2"
    group_index: int | None = 0
    index: int | None = None
    reward: Any = None
    remove_sample: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    custom_rm_path: str | None = None


@pytest.fixture
async def args() -> AsyncIterator[Namespace]:
    """slime's arguments, among them ours, as its YAML of custom arguments adds them."""
    rewards = {"other": ScriptedReward(default=9.0), "scripted": ScriptedReward(SCRIPT)}
    async with served(rewards) as service, listening(service.door) as url:
        yield Namespace(rm_url=url, reward_key=None, group_rm=False, rayreward_reward="scripted")
        await aclose_shared_clients()


async def test_a_sample_gets_a_number(args: Namespace) -> None:
    samples = [SlimeSample("good"), SlimeSample("fair")]
    assert await asyncio.gather(*(reward(args, sample) for sample in samples)) == [1.0, 0.5]
    assert not any(sample.remove_sample for sample in samples)


async def test_a_failed_sample_leaves_its_groups_mean_as_it_is_and_teaches_nothing(args: Namespace) -> None:
    group = [SlimeSample("good"), SlimeSample("bad"), SlimeSample("fair")]
    assert await reward(args, group) == [1.0, 0.75, 0.5]
    assert [sample.remove_sample for sample in group] == [False, True, False]


async def test_a_fallback_is_learnt_from(args: Namespace) -> None:
    args.rayreward_fallback = -1.0
    sample = SlimeSample("bad")
    assert await reward(args, sample) == -1.0
    assert not sample.remove_sample


async def test_with_a_reward_key_every_dict_has_the_same_keys(args: Namespace) -> None:
    args.reward_key, args.rayreward_components = "score", ["format"]
    scored, failed = await reward(args, [SlimeSample("good"), SlimeSample("bad")])
    assert scored == {"score": 1.0, "reward_valid": 1.0, "reward_failure": "", "format": 0.5}
    assert failed == {"score": 1.0, "reward_valid": 0.0, "reward_failure": "error", "format": None}


async def test_rollouts_that_fan_out_keep_their_shape(args: Namespace) -> None:
    group = [[SlimeSample("good"), SlimeSample("fair")], [SlimeSample("fair")]]
    assert await reward(args, group) == [[1.0, 0.5], [0.5]]


def test_chats_labels_and_columns_arrive() -> None:
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    sample, _ = sample_of(SlimeSample("a", prompt=chat, label=4, metadata={"level": 3}))
    assert [message.role for message in sample.messages] == ["system", "user", "assistant"]
    assert (sample.label, sample.metadata, sample.group_id) == (4, {"level": 3}, "0")
