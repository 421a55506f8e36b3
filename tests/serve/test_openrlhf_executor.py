"""OpenRLHF's own client, from the installed package, against a running service."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = [pytest.mark.ray, pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]


class Letters:
    """A tokenizer whose ids are code points."""

    def __call__(self, text: str, **_: Any) -> dict[str, Any]:
        import torch

        return {"input_ids": torch.tensor([[ord(letter) for letter in text]])}

    def decode(self, ids: list[int], **_: Any) -> str:
        return "".join(map(chr, ids))


@dataclass
class Engine:
    """A vLLM engine that always says the same; the reward path behind it is OpenRLHF's real one."""

    says: str
    asked: list[str] = field(default_factory=list)

    async def generate(self, ids: list[int], *_: Any, **__: Any) -> Any:
        self.asked.append("".join(map(chr, ids)))
        output = SimpleNamespace(
            token_ids=[ord(letter) for letter in self.says], finish_reason="stop", logprobs=None, text=self.says
        )
        return SimpleNamespace(outputs=[output])


async def roll_out(urls: list[str], says: list[str]) -> list[dict[str, Any]]:
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    executor = SingleTurnAgentExecutor(urls)
    params = SimpleNamespace(max_tokens=16, logprobs=None)
    return await asyncio.gather(
        *(executor.execute("2 + 2? ", "4", params, 128, Letters(), Engine(said)) for said in says)
    )


async def test_the_real_executor_gets_its_rewards_from_one_url(service: str) -> None:
    [right, wrong] = await roll_out([f"{service}/final_answer/get_reward?run=test"], ["#### 4", "#### 5"])
    assert (right["reward"], wrong["reward"]) == ([1.0], [0.0])
    assert right["extra_logs"] == {"reward_valid": [1.0]}


async def test_the_real_executor_rotates_over_several_urls(service: str) -> None:
    urls = [f"{service}/echo/get_reward", f"{service}/batched/get_reward"]
    outputs = await roll_out(urls, [str(number) for number in range(16)])
    assert [output["reward"] for output in outputs] == [[float(number)] for number in range(16)]


async def test_a_sample_that_fails_reaches_the_real_executor_as_a_finite_number(service: str) -> None:
    outputs = await roll_out([f"{service}/echo/get_reward?run=failing"], ["1", "raise", "3"])
    assert [output["reward"] for output in outputs] == [[1.0], [2.0], [3.0]]
    assert [output["extra_logs"]["reward_valid"] for output in outputs] == [[1.0], [0.0], [1.0]]
