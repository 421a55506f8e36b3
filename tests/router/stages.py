"""Fakes of the stages behind a policy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from rayreward.router.terms import Terms
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput


def samples(*responses: str, **fields: Any) -> list[Sample]:
    return [Sample(response=response, **fields) for response in responses]


def said(outputs: Sequence[RewardOutput]) -> list[float | str | None]:
    return [output.failure.kind.value if output.failure else output.score for output in outputs]


def failed(kind: FailureKind = FailureKind.ERROR, message: str = "no") -> RewardOutput:
    return RewardOutput.failed(kind, message)


async def turns(count: int = 10) -> None:
    """Let everything that is ready run."""
    for _ in range(count):
        await asyncio.sleep(0)


class Stage:
    """Scores by the response's length, when it is let; remembers what it was asked."""

    def __init__(self, *, is_held: bool = False, answer: Callable[[Sample], Any] | None = None) -> None:
        self.asked: list[list[str]] = []
        self.samples: list[list[Sample]] = []
        self.terms: list[Terms] = []
        self._answer = answer
        self._released = asyncio.Event()
        if not is_held:
            self._released.set()

    def release(self) -> None:
        self._released.set()

    async def __call__(self, samples: Sequence[Sample], terms: Terms | None = None) -> list[RewardOutput]:
        self.asked.append([sample.response for sample in samples])
        self.samples.append(list(samples))
        if terms is not None:
            self.terms.append(terms)
        await self._released.wait()
        return [self._score(sample) for sample in samples]

    def _score(self, sample: Sample) -> RewardOutput:
        value = float(len(sample.response)) if self._answer is None else self._answer(sample)
        if isinstance(value, Exception):
            raise value
        return value if isinstance(value, RewardOutput) else RewardOutput(value)
