"""A number for every sample, for trainers that know no sample without one; and who asks for it in their processes.

What arrives: samples, each with the text that names its prompt. What leaves: a `FilledScore` each: the score, or what
stands in for it, beside the output that says which. The stand-in is a fixed fallback where one is configured, else the
mean of the prompt's valid samples that this process knows of, else of the run's latest: its advantage is about zero.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rayreward.client.address import RewardAddress
from rayreward.client.run import RunClient
from rayreward.client.sync import run_sync
from rayreward.router.neutral import NeutralMeans
from rayreward.types import RewardOutput, Sample


@dataclass(frozen=True, slots=True)
class FilledScore:
    """What a trainer is told of one sample: `number` is finite, always."""

    number: float
    output: RewardOutput

    @property
    def is_valid(self) -> bool:
        """Whether the number was scored rather than put in a failure's place."""
        return self.output.score is not None


class FillingClient:
    """Scores for a trainer that needs a number for every sample.

    Args:
        client: whom to ask.
        fallback: the number of a failed sample; None takes what teaches nothing.
        now: the clock, in seconds.
    """

    def __init__(
        self, client: RunClient, *, fallback: float | None = None, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._client, self._fallback, self._now = client, fallback, now
        self._means = NeutralMeans()

    async def ascore(self, samples: Sequence[Sample], prompts: Sequence[str]) -> list[FilledScore]:
        """One a sample, in order; `prompts` names each one's siblings."""
        run = self._client.run or ""
        for prompt in prompts:
            self._means.begin(run, prompt, now_s=self._now())
        outputs: Sequence[RewardOutput | None] = [None] * len(samples)
        try:
            outputs = await self._client.ascore(samples)
        finally:
            for prompt, output in zip(prompts, outputs, strict=True):
                self._means.finish(run, prompt, None if output is None else output.score, now_s=self._now())
        return [
            FilledScore(self._number(output, run, prompt), output)
            for prompt, output in zip(prompts, outputs, strict=True)
            if output is not None
        ]

    def score(self, samples: Sequence[Sample], prompts: Sequence[str]) -> list[FilledScore]:
        """`ascore` for code that is not async."""
        return run_sync(self.ascore(samples, prompts))

    def close(self) -> None:
        """Release what sync callers have opened."""
        self._client.close()

    def _number(self, output: RewardOutput, run: str, prompt: str) -> float:
        if output.score is not None:
            return output.score
        return self._means.neutral(run, prompt) if self._fallback is None else self._fallback


@functools.cache
def shared_filling_client(address: RewardAddress, fallback: float | None) -> FillingClient:
    """This process's client of a reward: the same one for the same arguments, so that its callers travel together.

    Raises:
        ConfigError: the address is none.
        ServiceUnavailableError: no such application runs in this Ray cluster.
    """
    return FillingClient(address.or_environment().connect(), fallback=fallback)
