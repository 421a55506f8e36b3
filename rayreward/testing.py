"""Fakes under the real interfaces: test rewards and trainers the way rayreward is tested.

`ScriptedReward` answers, fails, hangs or dies as it is told. `served` is a whole service in this process: the real
router and the real HTTP door over the real runners, without Ray and without a port. `ManualClock` is the time for
whatever takes a `now`. Nothing here looks at a real clock or the network.

Example:
    >>> from rayreward.rewards import LengthReward
    >>> with served({"length": LengthReward(target=2, tolerance=1)}) as service:
    ...     [output] = service.client.score([{"response": "two words"}])
    >>> output.score
    1.0
"""

from __future__ import annotations

import asyncio
import enum
import hashlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import httpx

from rayreward.client import HttpClient
from rayreward.client.sync import run_sync
from rayreward.errors import ConfigError
from rayreward.function import Isolation, RewardFunction
from rayreward.log.record import RewardLog
from rayreward.router.admission import AdmissionPolicy
from rayreward.router.batching import BatchLimits
from rayreward.router.config import Limits, OpenRLHFPolicy
from rayreward.router.facts import RewardFacts
from rayreward.router.lane import open_lane
from rayreward.router.lane_policy import LanePolicy
from rayreward.router.openrlhf import OpenRLHFRoute
from rayreward.router.reward_lane import RewardLane
from rayreward.router.rollout import Rollout
from rayreward.router.router import Router
from rayreward.router.shadows import telling
from rayreward.router.versions import VersionedLane
from rayreward.sample import Trajectory
from rayreward.serve.door import Door
from rayreward.serve.inner import send_to
from rayreward.workers import build_runner

__all__ = ["EXIT", "HANG", "ManualClock", "ScriptedReward", "served"]


class ManualClock:
    """A clock that stands still until it is told.

    Example:
        >>> clock = ManualClock()
        >>> clock.advance(1.5)
        >>> clock()
        1.5
    """

    def __init__(self, now_s: float = 0.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


class Act(enum.Enum):
    """What a scripted reward can do beside answering and raising."""

    HANG = "hang"
    EXIT = "exit"


HANG, EXIT = Act.HANG, Act.EXIT


class ScriptedReward(RewardFunction):
    """A reward whose answer to each response is written down beforehand.

    Args:
        script: by response: a value to return, an exception to raise, `HANG` (never answer) or `EXIT` (end the
            process, with code 70).
        default: the same for every other response.
        isolation: "inline", or "process" to be killed for real.
        timeout_s: how long a hang may last.

    Raises:
        ConfigError: `EXIT` without a process of its own.

    Example:
        >>> from rayreward import Sample
        >>> reward = ScriptedReward({"bad": ValueError("no")}, default=0.5)
        >>> [output.score for output in reward.score([Sample(response="good"), Sample(response="bad")])]
        [0.5, None]
    """

    name = "scripted"

    def __init__(
        self,
        script: Mapping[str, Any] | None = None,
        *,
        default: Any = 1.0,
        isolation: Isolation = "inline",
        timeout_s: float = 30.0,
    ) -> None:
        self.script, self.default = dict(script or {}), default
        self.isolation, self.timeout_s = isolation, timeout_s
        self._scored: list[str] = []
        if isolation != "process" and any(act is EXIT for act in (default, *self.script.values())):
            raise ConfigError("a script that ends its process needs isolation='process'")

    @property
    def scored(self) -> list[str]:
        """The responses that it was asked for, in order; those of a worker process stay there."""
        return list(self._scored)

    def compute_reward(self, trajectory: Trajectory) -> Any:
        """What the script says."""
        self._scored.append(trajectory.response)
        act = self.script.get(trajectory.response, self.default)
        if isinstance(act, BaseException):
            raise act
        if act is EXIT:
            os._exit(70)
        if act is HANG:
            return asyncio.Event().wait() if self.isolation == "inline" else _block()
        return act


def _block() -> None:
    while True:
        time.sleep(3600)


class served:
    """A service of some rewards in this process, for as long as the ``with`` or ``async with`` lasts.

    Inside ``async with``, await the client's async methods; inside ``with``, call its sync ones.

    Args:
        rewards: by name, rewards or functions; the first is the main one.
        token: what callers must send; its own client does.
        policy: how the router treats the samples of each reward.
        admission: how much may wait in the router.
        candidates: other versions of some of the rewards, by their names; the service lets them wait.

    Attributes:
        client: an `HttpClient` whose requests go through the door, bytes and all.
        http: a plain httpx client of the door, for raw requests (async only).
        door: the ASGI application.
        router: what is behind it.
    """

    def __init__(
        self,
        rewards: Mapping[str, RewardFunction | Callable[..., Any]],
        *,
        openrlhf: OpenRLHFPolicy | None = None,
        limits: Limits | None = None,
        token: str | None = None,
        policy: LanePolicy | None = None,
        admission: AdmissionPolicy | None = None,
        candidates: Mapping[str, RewardFunction | Callable[..., Any]] | None = None,
        log: RewardLog | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        given = {**rewards, **{f"{name}.candidate": reward for name, reward in (candidates or {}).items()}}
        self._rewards = {
            name: reward if isinstance(reward, RewardFunction) else RewardFunction(func=reward)
            for name, reward in given.items()
        }
        self._runners = {name: build_runner(reward) for name, reward in self._rewards.items()}
        self._lanes = {
            name: open_lane(
                send_to(runner, now), slot_count=2, limits=BatchLimits(), policy=policy or LanePolicy(), now=now
            )
            for name, runner in self._runners.items()
        }
        lanes: dict[str, RewardLane] = {name: self._lanes[name] for name in rewards}
        for name in candidates or {}:
            base, candidate = self._lanes[name], self._lanes[f"{name}.candidate"]
            lanes[name] = VersionedLane(base, candidate, Rollout(), tell=telling(log, name))
        self.router = Router(lanes, main_reward=next(iter(lanes)), log=log, admission=admission, now=now)
        route = OpenRLHFRoute(self.router, openrlhf or OpenRLHFPolicy())
        digest = hashlib.sha256(token.encode()).hexdigest() if token else None
        self.door = Door(self.router, route, limits or Limits(), token_sha256=digest)
        transport = httpx.ASGITransport(self.door)
        self.client = HttpClient("http://rayreward.test", token=token or "", transport=transport)
        self.http = httpx.AsyncClient(base_url="http://rayreward.test", transport=transport)

    async def __aenter__(self) -> Self:
        for name, runner in self._runners.items():
            await runner.start()
            self._lanes[name].learn(RewardFacts.of(self._rewards[name], runner.version))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.http.aclose()
        for lane in self.router.lanes.values():
            await lane.close()
        for runner in self._runners.values():
            await runner.stop()

    def __enter__(self) -> Self:
        return run_sync(self.__aenter__())

    def __exit__(self, *_: object) -> None:
        run_sync(self.__aexit__())
