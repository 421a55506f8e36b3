"""A number for every sample, for trainers that know no sample without one; and who asks for it in their processes.

What arrives: samples, each with the text that names its prompt. What leaves: a `FilledScore` each: the score, or what
stands in for it, beside the output that says which. The stand-in is a fixed fallback where one is configured, else the
mean of the prompt's valid samples that this process knows of, waited for within a bound, else of the run's latest: its
advantage is about zero.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from rayreward.client.address import RewardAddress
from rayreward.client.run import RunClient
from rayreward.client.sync import run_sync
from rayreward.router.neutral import NeutralMeans
from rayreward.sample import Sample
from rayreward.types import RewardOutput

_LOOK_PAUSE_S = 0.05
"""Between two looks for a failed sample's siblings: a fraction of what generating one takes."""


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
        sibling_wait_s: how long a failed sample waits for its siblings' scores.
        now: the clock, in seconds.
        sleep: how to wait.
    """

    def __init__(
        self,
        client: RunClient,
        *,
        fallback: float | None = None,
        sibling_wait_s: float = 5.0,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client, self._fallback, self._sibling_wait_s = client, fallback, sibling_wait_s
        self._now, self._sleep = now, sleep
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
        found = [output for output in outputs if output is not None]
        if self._fallback is None:
            await self._wait_for_siblings(
                run, {prompt for prompt, output in zip(prompts, found, strict=True) if output.score is None}
            )
        return [
            FilledScore(self._number(output, run, prompt), output)
            for prompt, output in zip(prompts, found, strict=True)
        ]

    def score(self, samples: Sequence[Sample], prompts: Sequence[str]) -> list[FilledScore]:
        """`ascore` for code that is not async."""
        return run_sync(self.ascore(samples, prompts))

    async def aclose(self) -> None:
        """Release what this loop has opened."""
        await self._client.aclose()

    def close(self) -> None:
        """`aclose` for code that is not async."""
        self._client.close()

    async def _wait_for_siblings(self, run: str, prompts: set[str]) -> None:
        """Until the failed samples' siblings are scored; they may be asked for on other loops and threads."""
        give_up_s = self._now() + self._sibling_wait_s
        while self._now() < give_up_s and not all(self._means.is_settled(run, prompt) for prompt in prompts):
            await self._sleep(_LOOK_PAUSE_S)

    def _number(self, output: RewardOutput, run: str, prompt: str) -> float:
        if output.score is not None:
            return output.score
        return self._means.neutral(run, prompt) if self._fallback is None else self._fallback


_shared: dict[tuple[RewardAddress, float | None], FillingClient] = {}
_lock = threading.Lock()


def shared_filling_client(address: RewardAddress, fallback: float | None) -> FillingClient:
    """This process's client of a reward: the same one for the same arguments, so that its callers travel together.

    Raises:
        ConfigError: the address is none.
        ServiceUnavailableError: no such application runs in this Ray cluster.
    """
    with _lock:  # trainers call from many threads, and each client would know only its own siblings
        client = _shared.get((address, fallback))
        if client is None:
            client = _shared[address, fallback] = FillingClient(address.or_environment().connect(), fallback=fallback)
        return client


async def aclose_shared_clients() -> None:
    """Release what this loop has opened, and forget all that was scored."""
    with _lock:
        clients = list(_shared.values())
        _shared.clear()
    for client in clients:
        await client.aclose()


def close_shared_clients() -> None:
    """`aclose_shared_clients` for code that is not async."""
    run_sync(aclose_shared_clients())
