from __future__ import annotations

import asyncio

import pytest

from rayreward.errors import ServiceUnavailableError
from rayreward.serve.lost_model import LostModel


async def test_a_model_that_is_there_holds_nobody() -> None:
    model = LostModel("quality", end=pytest.fail)
    model.check(None)
    await model.hold_if_ending()


async def test_a_lost_one_says_why_to_every_call_under_way_and_ends_the_process_once() -> None:
    ended: list[None] = []
    done = asyncio.Event()

    def end() -> None:
        ended.append(None)
        done.set()

    model = LostModel("quality", end=end)
    for _ in range(3):
        with pytest.raises(ServiceUnavailableError, match="reward 'quality': CUDA error"):
            model.check("CUDA error")
    assert not ended  # what it says must leave the process first
    await done.wait()
    assert len(ended) == 1


async def test_a_call_that_comes_then_is_not_answered() -> None:
    model = LostModel("quality", end=lambda: None)
    with pytest.raises(ServiceUnavailableError):
        model.check("CUDA error")
    held = asyncio.create_task(model.hold_if_ending())
    await asyncio.sleep(0)
    assert not held.done()
    held.cancel()
