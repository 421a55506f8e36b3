"""What every client can do, whatever carries its samples.

What arrives: samples, as `Sample` values or as dicts of their fields. What leaves: one output a sample, in order.
A failed sample is an output with its failure; an error is raised only where nothing can be scored at all: an unknown
reward, a service that cannot be reached, a wrong token.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rayreward.batches import Rest
from rayreward.client.sync import run_sync
from rayreward.errors import ConfigError, InvalidInputError
from rayreward.router.prescale import Prescaled
from rayreward.router.terms import priority_of
from rayreward.sample import Sample
from rayreward.types import Priority, RewardInfo, RewardOutput


class RewardClient(ABC):
    """Scores samples by the rewards of a service. Use it as a context manager, or close it.

    Example:
        >>> from rayreward import LocalClient
        >>> with LocalClient({"length": "length"}, arguments={"length": {"target": 1, "tolerance": 1}}) as client:
        ...     client.score([{"response": "one"}])[0].score
        1.0
    """

    coalesces = False
    """Whether samples that are asked for at the same time travel together, and a slow one holds up no other."""

    @abstractmethod
    def _send(
        self,
        reward: str | None,
        samples: Sequence[Sample],
        *,
        timeout_s: float | None,
        run: str | None,
        step: int | None,
        priority: Priority,
    ) -> Awaitable[list[RewardOutput]]:
        """Carry samples away and bring one output each, in order."""

    async def _send_early(
        self, reward: str | None, samples: Sequence[Sample], *, run: str | None, priority: Priority
    ) -> Sequence[RewardOutput]:
        """The same for samples of several callers: an `EarlyBatch` where some are not known soon."""
        return await self._send(reward, samples, timeout_s=None, run=run, step=None, priority=priority)

    async def _rest(self, reward: str | None, tickets: Sequence[str]) -> Rest:
        """What is known by now of samples that `_send_early` gave tickets for."""
        return Rest([], [], range(len(tickets)))  # it gives none

    @abstractmethod
    async def arewards(self) -> list[RewardInfo]:
        """What can be scored by, with version and state."""

    @abstractmethod
    async def aclose(self) -> None:
        """Release what the client holds."""

    async def ascore(
        self,
        samples: Iterable[Sample | Mapping[str, Any]],
        *,
        reward: str | None = None,
        timeout_s: float | None = None,
        run: str | None = None,
        step: int | None = None,
        priority: Priority = "train",
    ) -> list[RewardOutput]:
        """One output a sample, in order.

        Args:
            samples: `Sample` values, or dicts of their fields.
            reward: by which; the service's main reward where left out.
            timeout_s: after which samples without an answer fail as `timeout`.
            run: the training that asks, for the reward log and `arun_stats`.
            step: of that training, where it is known.
            priority: who goes first where samples wait: "train", then "eval", then "batch".

        Raises:
            UnknownRewardError: no such reward.
            InvalidInputError: no such priority, or a sample that is none.
            ServiceUnavailableError: the service cannot be reached.
            AuthenticationError: the token is missing or wrong.
        """
        values = [as_sample(sample) for sample in samples]
        priority = priority_of(priority)
        if not values:
            return []
        return await self._send(reward, values, timeout_s=timeout_s, run=run, step=step, priority=priority)

    async def aprescale(self, reward: str, replicas: int, *, for_s: float) -> Prescaled:
        """Have replicas started before there is work for them: before a rollout ends, say.

        Args:
            reward: its name.
            replicas: at least so many; 0 takes an earlier wish back.
            for_s: seconds from now. A newer wish takes the place of an older one.

        Raises:
            UnknownRewardError: no such reward.
            InvalidInputError: the number of its replicas is fixed.
            ConfigError: this client asks no service.
        """
        raise ConfigError(f"prescale of {reward!r}: a {type(self).__name__} has no replicas; ask the service that does")

    def score(
        self,
        samples: Iterable[Sample | Mapping[str, Any]],
        *,
        reward: str | None = None,
        timeout_s: float | None = None,
        run: str | None = None,
        step: int | None = None,
        priority: Priority = "train",
    ) -> list[RewardOutput]:
        """`ascore` for code that is not async."""
        return run_sync(self.ascore(samples, reward=reward, timeout_s=timeout_s, run=run, step=step, priority=priority))

    def prescale(self, reward: str, replicas: int, *, for_s: float) -> Prescaled:
        """`aprescale` for code that is not async."""
        return run_sync(self.aprescale(reward, replicas, for_s=for_s))

    def rewards(self) -> list[RewardInfo]:
        """`arewards` for code that is not async."""
        return run_sync(self.arewards())

    def close(self) -> None:
        """`aclose` for code that is not async."""
        run_sync(self.aclose())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def as_sample(value: Sample | Mapping[str, Any]) -> Sample:
    """A sample from what callers write.

    Raises:
        InvalidInputError: a key that is no field, or fields that make no sample.
    """
    if isinstance(value, Sample):
        return value
    if not isinstance(value, Mapping):
        raise InvalidInputError(f"a sample is a Sample or a dict of its fields, found {type(value).__name__}")
    try:
        return Sample(**value)
    except TypeError as error:
        raise InvalidInputError(f"a sample cannot be made of the keys {sorted(map(str, value))}: {error}") from None
