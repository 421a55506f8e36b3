"""A tokenizer, an engine and a scorer under OpenRLHF's real executors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from rayreward.sample import Sample
from rayreward.trainers.openrlhf import TrainerAnswer
from rayreward.types import Failure, RewardOutput

END = "<|im_end|>"
END_ID = 0x10FFFF
"""The one token that is not a letter: what a chat model ends its turn with."""


class Letters:
    """A tokenizer whose ids are code points, and whose template is ChatML's."""

    all_special_ids = (END_ID,)

    def __call__(self, text: str, **_: Any) -> dict[str, Any]:
        import torch

        return {"input_ids": torch.tensor([self.encode(text)])}

    def encode(self, text: str) -> list[int]:
        return [ord(letter) for letter in text.replace(END, chr(END_ID))]

    def decode(self, ids: Iterable[int], **_: Any) -> str:
        return "".join(map(chr, ids)).replace(chr(END_ID), END)

    def apply_chat_template(
        self, messages: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        assert not tokenize
        told = "".join(f"<|im_start|>{one['role']}\n{one['content']}{END}\n" for one in messages)
        return told + ("<|im_start|>assistant\n" if add_generation_prompt else "")


def params(max_tokens: int | None = 16, logprobs: int | None = None) -> Any:
    return SimpleNamespace(max_tokens=max_tokens, logprobs=logprobs, min_tokens=1)


Says = Callable[[str], str]


@dataclass
class Engine:
    """A vLLM engine that says what a function of the context says, up to the limit of its tokens.

    As in vLLM, the end token is among the ids and not in the text.
    """

    says: Says
    ends: bool = False
    contexts: list[str] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    async def generate(self, ids: list[int], sampling_params: Any, multi_modal_data: Any = None) -> Any:
        context = Letters().decode(ids)
        self.contexts.append(context)
        self.limits.append(sampling_params.max_tokens)
        await asyncio.sleep(0)
        said = self.says(context)
        text = said[: sampling_params.max_tokens]
        token_ids = [*map(ord, text)]
        if self.ends and text == said:
            token_ids.append(END_ID)
        logprobs = [{token: SimpleNamespace(logprob=-0.5)} for token in token_ids]
        output = SimpleNamespace(
            token_ids=token_ids,
            text=text,
            finish_reason="stop" if text == said else "length",
            logprobs=None if sampling_params.logprobs is None else logprobs,
        )
        return SimpleNamespace(outputs=[output])


def in_turns(*texts: str) -> Engine:
    """An engine of one episode: the first text, then the second, …"""
    left = iter(texts)
    return Engine(lambda _: next(left))


@dataclass
class FakeScorer:
    """A scorer by a function of the sample; failures get one number, and scores given elsewhere are kept."""

    score: Callable[[Sample], float | TrainerAnswer] = lambda sample: float(len(sample.response))
    fills: float = 0.25
    calls: list[list[Sample]] = field(default_factory=list)
    failed: list[tuple[Sample, Failure]] = field(default_factory=list)
    noted: list[tuple[Sample, float]] = field(default_factory=list)

    async def answer(self, samples: Sequence[Sample]) -> list[TrainerAnswer]:
        self.calls.append(list(samples))
        await asyncio.sleep(0)
        given = [self.score(sample) for sample in samples]
        return [one if isinstance(one, TrainerAnswer) else TrainerAnswer(one, one, True) for one in given]

    async def settle(self, sample: Sample, output: RewardOutput) -> TrainerAnswer:
        if output.score is not None:
            self.noted.append((sample, output.score))
            return TrainerAnswer.scored(output, output.score)
        assert output.failure is not None
        self.failed.append((sample, output.failure))
        return TrainerAnswer.filled(self.fills, drop=True)


async def generate_responses(
    executor: Any,
    engine: Any,
    prompt: str,
    label: Any,
    *,
    count: int = 1,
    max_length: int = 256,
    sampling_params: Any = None,
    tokenizer: Any = None,
) -> list[dict[str, Any]]:
    """What OpenRLHF's rollout actor does for one prompt: one prompt object, one object of parameters."""
    shared = params() if sampling_params is None else sampling_params
    before = deepcopy(shared)
    tasks = [
        executor.execute(
            prompt=prompt,
            label=label,
            sampling_params=shared,
            max_length=max_length,
            hf_tokenizer=tokenizer or Letters(),
            llm_engine=engine,
            images=None,
        )
        for _ in range(count)
    ]
    responses: list[dict[str, Any]] = await asyncio.gather(*tasks)
    assert shared == before, "the samples of a prompt share their parameters: nobody may change them"
    return responses
