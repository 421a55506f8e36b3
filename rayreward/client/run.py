"""One reward, asked in the name of one training, by whatever code the training runs.

What arrives: samples, with the training's step where it is known, from one caller or from many coroutines and threads.
What leaves: one output each, in order. What it promises: what is asked at the same time travels together; a reward
that nobody answers for is waited for, up to a bound, so that the training pauses instead of learning from nothing; a
reward that does not exist, or a wrong token, stops the training instead of failing every sample of it.

What a failed sample is told to a trainer that needs a number: see `rayreward.client.filled`.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from rayreward.batches import Rest
from rayreward.client.base import RewardClient
from rayreward.client.call_size import FULL_SLOTS, LIMITS, SLOTS
from rayreward.client.patience import positions_unavailable, score_patiently
from rayreward.client.sync import run_sync
from rayreward.errors import (
    AuthenticationError,
    ConfigError,
    DeadlineError,
    RayRewardError,
    ServiceUnavailableError,
    UnknownRewardError,
)
from rayreward.outcome import failed_output
from rayreward.router.asking_again import asking_again
from rayreward.router.coalescer import Coalescer
from rayreward.router.terms import priority_of
from rayreward.sample import Sample
from rayreward.types import Priority, RewardOutput

CallT = TypeVar("CallT", bound=Callable[..., Awaitable[object]])

_REFUSALS = (UnknownRewardError, AuthenticationError, ConfigError)
"""What no sample is to blame for and no waiting cures."""


class RunClient:
    """A reward of a service, on behalf of a run.

    Args:
        client: what carries the samples.
        reward: by which; the service's main reward where left out.
        run: the training that asks.
        priority: its class; see `RewardClient.ascore`.
        wait_s: how long samples wait for a reward that nobody answers for before they fail as `unavailable`.
        max_unavailable_s: after so long without any answer the training is stopped; None never stops it.
        now: the clock, in seconds.
        sleep: how to wait.

    Example:
        >>> from rayreward import LocalClient
        >>> with LocalClient({"length": "length"}, arguments={"length": {"target": 1, "tolerance": 1}}) as client:
        ...     [output] = RunClient(client, run="first").score([Sample(response="one")], step=1)
        >>> output.score
        1.0
    """

    def __init__(
        self,
        client: RewardClient,
        *,
        reward: str | None = None,
        run: str | None = None,
        priority: Priority = "train",
        wait_s: float = 600.0,
        max_unavailable_s: float | None = 900.0,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name, self.run = reward or "", run
        self._priority = priority_of(priority)
        self._client, self._wait_s, self._max_unavailable_s = client, wait_s, max_unavailable_s
        self._now, self._sleep = now, sleep
        self._answered_s: float | None = None
        self._refusal: RayRewardError | None = None
        self._lanes: _Lanes = weakref.WeakKeyDictionary()

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "_lanes"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state, _lanes=weakref.WeakKeyDictionary())

    async def ascore(self, samples: Sequence[Sample], *, step: int | None = None) -> list[RewardOutput]:
        """One output a sample, in order.

        Raises:
            UnknownRewardError: no such reward.
            AuthenticationError: the token is missing or wrong.
            ServiceUnavailableError: nobody has answered for `max_unavailable_s`.
        """
        if not samples:
            return []
        if self._answered_s is None:
            self._answered_s = self._now()
        outputs = await score_patiently(
            lambda asked: self._ask(asked, step),
            samples,
            wait_s=self._wait_s,
            now=self._now,
            sleep=self._sleep,
            before_waiting=self._stop_if_silent,
        )
        self._stop_if_silent()
        return outputs

    def score(self, samples: Sequence[Sample], *, step: int | None = None) -> list[RewardOutput]:
        """`ascore` for code that is not async."""
        return run_sync(self.ascore(samples, step=step))

    async def aclose(self) -> None:
        """Give up what this loop still waits for, and its connections."""
        lane = self._lanes.pop(asyncio.get_running_loop(), None)
        if lane is not None:
            await lane.close()
        await self._client.aclose()

    def close(self) -> None:
        """`aclose` for code that is not async."""
        run_sync(self.aclose())

    def _stop_if_silent(self) -> None:
        silent_s = self._now() - (self._answered_s or 0.0)
        if self._max_unavailable_s is not None and silent_s > self._max_unavailable_s:
            raise ServiceUnavailableError(
                f"the reward {self.name or '(main)'} has answered nothing for {silent_s:.0f} s (limit: "
                f"{self._max_unavailable_s:g} s): the training stops here; resume it when the reward is back"
            )

    async def _ask(self, samples: Sequence[Sample], step: int | None) -> list[RewardOutput]:
        outputs: Sequence[RewardOutput]
        if step is not None or self._client.coalesces:  # whoever knows its step asks for a whole batch at once
            outputs = await self._send(samples, step)
        else:
            outputs = await self._lane().score(samples)
            if self._refusal is not None:
                raise self._refusal
        if len(positions_unavailable(outputs)) < len(outputs):
            self._answered_s = self._now()
        return list(outputs)

    async def _send(self, samples: Sequence[Sample], step: int | None) -> Sequence[RewardOutput]:
        reward = self.name or None
        return await self._answered(
            self._client.ascore(samples, reward=reward, run=self.run, step=step, priority=self._priority), samples
        )

    async def _send_early(self, samples: Sequence[Sample]) -> Sequence[RewardOutput]:
        """Samples of several callers."""
        asked = self._client._send_early(self.name or None, samples, run=self.run, priority=self._priority)
        return await self._answered(asked, samples)

    async def _rest(self, tickets: Sequence[str]) -> Rest:
        try:
            return await self._client._rest(self.name or None, tickets)
        except _REFUSALS as error:
            self._refusal = error
            raise

    async def _answered(
        self, work: Awaitable[Sequence[RewardOutput]], samples: Sequence[Sample]
    ) -> Sequence[RewardOutput]:
        try:
            outputs = await work
        except _REFUSALS as error:
            self._refusal = error
            raise
        except (ServiceUnavailableError, DeadlineError) as error:
            return [failed_output(error)] * len(samples)
        self._refusal = None
        return outputs

    def _lane(self) -> Coalescer:
        loop = asyncio.get_running_loop()
        lane = self._lanes.get(loop)
        if lane is None:
            # Weakly: as a cycle the client would be collected together with its open sockets, and could not close them.
            score, rest = weakref.WeakMethod(self._send_early), weakref.WeakMethod(self._rest)
            lane = self._lanes[loop] = Coalescer(
                asking_again(lambda batch: _alive(score)(batch), rest=lambda tickets: _alive(rest)(tickets)),
                slot_count=SLOTS,
                full_slot_count=FULL_SLOTS,
                limits=LIMITS,
                now=self._now,
            )
        return lane


_Lanes = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Coalescer]
"""Futures belong to an event loop, so each coalesces its own callers."""


def _alive(method: weakref.WeakMethod[CallT]) -> CallT:
    found = method()
    if found is None:
        raise RuntimeError("a client was collected while somebody waited for it; this is a bug in rayreward")
    return found
