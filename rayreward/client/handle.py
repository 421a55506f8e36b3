"""Rewards through Ray, for code that runs in the same cluster: no HTTP, and no call a sample.

What arrives: `score` calls of one process, of any size. What leaves: few calls of the router's handle: what is asked
at the same time travels together. Needs the cluster's own Ray and Python versions; elsewhere use HTTP.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Sequence
from typing import Any

from rayreward.batches import Rest
from rayreward.client.applications import AUTO, choose_application
from rayreward.client.base import RewardClient
from rayreward.client.call_size import FULL_SLOTS, LIMITS, SLOTS
from rayreward.collecting import collect_seldom
from rayreward.errors import BackpressureError, ServiceUnavailableError
from rayreward.router.asking_again import asking_again
from rayreward.router.coalescer import Coalescer
from rayreward.router.prescale import Prescaled
from rayreward.router.rollout import RewardVersions
from rayreward.router.runs import RunStats
from rayreward.sample import Sample
from rayreward.serve.calls import call_handle
from rayreward.types import Priority, RewardInfo, RewardOutput
from rayreward.wire import VersionsChangeBody

_MAX_LANES = 64
"""Lanes kept: a trainer that names its steps opens one a step, and never uses it again."""

Lanes = dict[tuple[str | None, str | None, int | None, Priority], Coalescer]


class HandleClient(RewardClient):
    """Scores by a reward application of this Ray cluster.

    While one lives, this process's cyclic collector looks seldom; see `rayreward.collecting`.

    Args:
        app: the Serve application's name; "auto" finds the one that can be meant.
        timeout_s: for a call that names none.

    Raises:
        ServiceUnavailableError: Ray is not connected, or no such application runs.
    """

    coalesces = True

    def __init__(self, app: str = AUTO, *, timeout_s: float = 600.0) -> None:
        self._app, self._timeout_s = app, timeout_s
        self._handle = find_app(app)
        # Futures belong to a loop, so each loop of the process coalesces its own callers.
        self._lanes: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Lanes] = weakref.WeakKeyDictionary()
        collect_seldom(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_lanes"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lanes=weakref.WeakKeyDictionary())
        collect_seldom(self)

    async def arewards(self) -> list[RewardInfo]:
        """What the application serves."""
        listed: list[RewardInfo] = await call_handle(self._handle, "describe")
        return listed

    async def arun_stats(self, run: str) -> RunStats:
        """What became of a run's samples."""
        stats: RunStats = await call_handle(self._handle, "run_stats", run)
        return stats

    async def aprescale(self, reward: str, replicas: int, *, for_s: float) -> Prescaled:
        """What the application grants."""
        granted: Prescaled = await call_handle(self._handle, "prescale", reward, replicas, for_s=for_s)
        return granted

    async def aversions(self, reward: str) -> RewardVersions:
        """A reward's versions, and who meets which."""
        versions: RewardVersions = await call_handle(self._handle, "versions", reward)
        return versions

    async def achange_versions(self, reward: str, change: VersionsChangeBody) -> RewardVersions:
        """Promote a reward's candidate, roll it back, or give it other shares of the prompts.

        Raises:
            RolloutError: it cannot be made from where the versions stand.
        """
        versions: RewardVersions = await call_handle(self._handle, "change_versions", reward, change)
        return versions

    async def aclose(self) -> None:
        """Give up what this loop still waits for."""
        for lane in self._lanes.pop(asyncio.get_running_loop(), {}).values():
            await lane.close()

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
        lanes = self._lanes.setdefault(asyncio.get_running_loop(), {})
        lane = lanes.get((reward, run, step, priority))
        if lane is None:
            _forget_idle(lanes)
            lane = lanes[reward, run, step, priority] = self._open_lane(reward, run, step, priority)
        return lane.score(samples, timeout_s=self._timeout_s if timeout_s is None else timeout_s)

    def _open_lane(self, reward: str | None, run: str | None, step: int | None, priority: Priority) -> Coalescer:
        async def rest(tickets: Sequence[str]) -> Rest:
            found: Rest = await call_handle(self._handle, "rest", list(tickets))
            return found

        async def score(batch: list[Sample]) -> Sequence[RewardOutput]:
            give_up_s = time.monotonic() + self._timeout_s
            while True:
                try:
                    outputs: Sequence[RewardOutput] = await call_handle(
                        self._handle, "score", reward, batch,
                        timeout_s=self._timeout_s, run=run, step=step, priority=priority,
                    )  # fmt: skip
                except BackpressureError as error:
                    if time.monotonic() + error.retry_after_s >= give_up_s:
                        raise
                    await asyncio.sleep(error.retry_after_s)
                else:
                    return outputs

        send = asking_again(score, rest=rest)
        return Coalescer(send, slot_count=SLOTS, full_slot_count=FULL_SLOTS, limits=LIMITS, now=time.monotonic)


def _forget_idle(lanes: Lanes) -> None:
    if len(lanes) >= _MAX_LANES:
        for key in [key for key, lane in lanes.items() if lane.is_idle]:
            del lanes[key]


def find_app(app: str, *, reward: str | None = None) -> Any:
    """The handle of a reward application's router; see `choose_application`.

    Raises:
        ServiceUnavailableError: Ray is not connected, or no such application runs.
    """
    import ray
    from ray import serve
    from ray.exceptions import RayActorError
    from ray.serve.exceptions import RayServeException

    if not ray.is_initialized():
        raise ServiceUnavailableError("a HandleClient needs a Ray cluster: call ray.init(address='auto') first")
    try:
        known = {name: list(found.deployments) for name, found in serve.status().applications.items()}
        return serve.get_app_handle(choose_application(app, known, reward=reward))
    except (RayServeException, RayActorError) as error:  # no application, no Serve, or its controller has just died
        raise ServiceUnavailableError(
            f"Serve does not answer in this Ray cluster ({error}); start it with: serve run deployments/"
        ) from error
