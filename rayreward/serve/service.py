"""The router's deployment: doors in front, handles of the rewards behind.

What arrives: HTTP requests, from Serve's proxy or on the router's own port, and handle calls of in-cluster clients.
What leaves: outputs. All decisions are made by `rayreward.router`; this binds them to Ray.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.requests import Request

from rayreward.batches import Rest
from rayreward.collecting import collect_seldom
from rayreward.log.record import RewardLog
from rayreward.router.asking_again import ask_each_owner, asking_again
from rayreward.router.backlog import Backlog
from rayreward.router.coalescer import Send
from rayreward.router.config import ServiceConfig
from rayreward.router.lane import Lane, open_lane
from rayreward.router.lane_policy import LanePolicy, Slots, limits_of
from rayreward.router.least_busy import LeastBusy
from rayreward.router.openrlhf import OpenRLHFRoute
from rayreward.router.prescale import Prescaled
from rayreward.router.prompt_queues import Aimed
from rayreward.router.reward_lane import RewardLane
from rayreward.router.rollout import RewardVersions
from rayreward.router.router import Router
from rayreward.router.runs import RunStats
from rayreward.router.shadows import telling
from rayreward.router.sizing import MOST_SAMPLES, BatchSizer
from rayreward.router.stats import RouterStats
from rayreward.router.versions import VersionedLane
from rayreward.sample import Sample
from rayreward.serve.calls import call_handle, route_here
from rayreward.serve.door import Door
from rayreward.serve.heap import keep_heap
from rayreward.serve.inner import open_inner_lane
from rayreward.serve.kept import KeptRollouts
from rayreward.serve.kept_means import KeptMeans
from rayreward.serve.listener import start_listener
from rayreward.serve.running import running_replicas
from rayreward.serve.starting import keep_starts_known
from rayreward.serve.unclaimed import CLIENTS_UNCLAIMED_S, Unclaimed, owner_of
from rayreward.serve.watch import keep_counted, keep_known
from rayreward.spec import RewardSpec
from rayreward.trainers.openrlhf import TrainerAnswer
from rayreward.types import Priority, RewardInfo, RewardOutput
from rayreward.wire import ServiceBody, VersionsChangeBody

_STATUS_WITHIN_S = 2.0
"""How long a router that stops waits for what Serve says of its application. It has 20 s for all that it does then."""


class RewardService:
    """The router as a Serve deployment.

    Args:
        config: the whole service.
        handles: of the reward deployments, by name, candidates' too; those that run in the router have none.
    """

    async def __init__(self, config: ServiceConfig, handles: Mapping[str, Any]) -> None:  # type: ignore[misc]
        collect_seldom(self)
        keep_heap()
        log = RewardLog(config.log_dir, writer=_replica_name()) if config.log_dir else None
        for handle in handles.values():
            route_here(handle)
        opened = _Opened(handles, KeptRollouts(_app_name()), log)
        lanes = {spec.name: await opened.versions(spec) for spec in config.rewards}
        self._router = Router(lanes, main_reward=config.main_reward, log=log, admission=config.admission)
        self._openrlhf = OpenRLHFRoute(self._router, config.openrlhf)
        self._unclaimed = Unclaimed(_replica_name(), wait_s=CLIENTS_UNCLAIMED_S)
        self._kept_means = KeptMeans(_app_name())
        self._openrlhf.restore(await self._kept_means.load())
        self._door = Door(
            self._router, self._openrlhf, config.limits, unclaimed=self._unclaimed, token_sha256=config.token_sha256
        )
        self._listener = await start_listener(self._door, config.listen)
        loop = asyncio.get_running_loop()
        watches = [keep_known(opened.lanes[name], handle) for name, handle in handles.items()]
        watches.append(keep_starts_known(opened.lanes, _app_name()))
        watches.append(self._kept_means.keep_on(self._openrlhf.run_means))
        if opened.has_scaled:
            watches.append(keep_counted(opened.lanes))
        self._watches = [loop.create_task(watch) for watch in watches]

    async def __call__(self, request: Request) -> Any:
        """An HTTP request from Serve's proxy."""
        return await _run_asgi(self._door, request)

    async def score(
        self,
        reward: str | None,
        samples: Sequence[Sample],
        *,
        timeout_s: float | None = None,
        run: str | None = None,
        step: int | None = None,
        priority: Priority = "train",
    ) -> Sequence[RewardOutput]:
        """One output a sample, in order, for in-cluster clients; an `EarlyBatch` where some are not known soon.

        Raises:
            BackpressureError: too much waits in the router already; nothing was scored.
        """
        name, _ = self._router.lane(reward)
        outcomes = await self._router.begin(name, samples, timeout_s=timeout_s, priority=priority, caller=run)
        self._router.record_outcomes(name, samples, outcomes, run=run, step=step)
        return self._unclaimed.begun(outcomes)

    async def score_for_trainer(
        self, reward: str | None, samples: Sequence[Sample], *, run: str | None = None
    ) -> Sequence[RewardOutput]:
        """As `score`, for a training that is held and not refused; those without a score are then to be settled."""
        return self._unclaimed.begun(await self._openrlhf.begin(reward, samples, run=run))

    async def rest(self, tickets: Sequence[str]) -> Rest:
        """What is known by now of samples whose call was answered without them."""
        return await self._unclaimed.rest(tickets)

    async def settle(
        self,
        reward: str | None,
        samples: Sequence[Sample],
        outputs: Sequence[RewardOutput],
        unseen: Sequence[int] = (),
        *,
        run: str | None = None,
    ) -> list[TrainerAnswer]:
        """What a trainer is told of samples without a score, by the failure policy, or that were scored elsewhere."""
        return await self._openrlhf.settle(reward, samples, outputs, run=run, unseen=unseen)

    async def run_stats(self, run: str) -> RunStats:
        """What became of a run's samples."""
        return self._router.run_stats(run)

    async def stats(self) -> RouterStats:
        """What is going on in the router."""
        return self._router.stats()

    async def describe(self) -> list[RewardInfo]:
        """What is served."""
        return self._router.describe()

    async def prescale(self, reward: str | None, replicas: int, *, for_s: float) -> Prescaled:
        """Wish for replicas of a reward before there is work for them.

        Raises:
            InvalidInputError: the number of its replicas is fixed.
        """
        return self._router.prescale(reward, replicas, for_s=for_s)

    async def versions(self, reward: str | None) -> RewardVersions:
        """A reward's versions, and who meets which."""
        return self._router.versions(reward)

    async def change_versions(self, reward: str | None, change: VersionsChangeBody) -> RewardVersions:
        """Another version of a reward, or another share of its prompts, from the next call on.

        Raises:
            RolloutError: it cannot be made from where the versions stand.
        """
        return await self._router.change_versions(reward, change)

    async def reached(self) -> ServiceBody:
        """Where the service is reached; what ``GET /v1/service`` says."""
        return self._door.service

    async def __del__(self) -> None:  # Serve awaits it when the replica is retired
        if self._listener is not None:
            await self._listener.stop(is_followed=await _is_followed())
        for watch in self._watches:
            watch.cancel()
        await self._kept_means.keep(self._openrlhf.run_means())
        for lane in self._router.lanes.values():
            await lane.close()
        if self._router.log is not None:
            await asyncio.to_thread(self._router.log.close)


class _Opened:
    """Opens rewards, one after the other.

    Attributes:
        lanes: of every version, by the name of its deployment.
        has_scaled: whether the replicas of one of them come and go.
    """

    def __init__(self, handles: Mapping[str, Any], kept: KeptRollouts, log: RewardLog | None) -> None:
        self._handles, self._kept, self._log = handles, kept, log
        self.lanes: dict[str, Lane] = {}
        self.has_scaled = False

    async def versions(self, spec: RewardSpec) -> RewardLane:
        """The lane of a reward, and of its candidate beside it where it has one."""
        base, candidate_spec = await self._lane(spec, spec.name), spec.candidate_spec
        rollout = await self._kept.load(spec)  # without a candidate too: what is kept of an older one is forgotten
        if candidate_spec is None:
            return base
        candidate = await self._lane(candidate_spec, spec.candidate_name)
        keep, tell = partial(self._kept.save, spec), telling(self._log, spec.name)
        return VersionedLane(base, candidate, rollout, tell=tell, keep=keep)

    async def _lane(self, spec: RewardSpec, name: str) -> Lane:
        self.has_scaled = self.has_scaled or spec.is_scaled
        lane = await open_inner_lane(spec) if spec.in_router else _open_lane(spec, name, self._handles[name])
        self.lanes[name] = lane
        return lane


def _open_lane(spec: RewardSpec, name: str, handle: Any) -> Lane:
    policy = LanePolicy.of(spec)

    running = partial(running_replicas, _app_name(), name)
    least_busy = LeastBusy(running)

    def send_to(replica: str | None) -> Send:
        return asking_again(partial(score, replica=replica), rest=rest)

    async def score(batch: list[Sample], *, replica: str | None) -> Sequence[RewardOutput]:
        with least_busy.one_more(replica) as chosen:
            outputs: Sequence[RewardOutput] = await call_handle(
                handle, "score", batch, told(), may_be_early=True, replica=chosen
            )
        return outputs

    async def rest(tickets: Sequence[str]) -> Rest:
        return await ask_each_owner(tickets, owner_of=owner_of, rest=rest_of_owner)

    async def rest_of_owner(owner: str, tickets: Sequence[str]) -> Rest:
        found: Rest = await call_handle(handle, "rest", list(tickets), told(), replica=owner)
        return found

    def told() -> Backlog | None:
        return lane.backlog(time.time()) if spec.is_scaled else None

    slots, most_samples = Slots(spec.max_ongoing_requests, policy.replicas.most), spec.max_batch_samples or MOST_SAMPLES
    aimed = None
    slot_count, spread = slots.of(None), slots.spread(spec.num_replicas)
    if spec.keeps_prompts_together:
        aimed = Aimed(running, send_to)
        slot_count, spread = slots.of(1), slots.spread(1)
    sizer = BatchSizer(spread, most_samples=most_samples)
    lane = open_lane(
        send_to(None),
        slot_count=slot_count,
        limits=limits_of(spec),
        policy=policy,
        now=time.monotonic,
        sizer=sizer,
        aimed=aimed,
    )
    lane.slots = slots
    return lane


async def _is_followed() -> bool:
    """Whether another router comes after this one, which stops: not where its application is deleted."""
    from ray import serve

    try:
        status = await asyncio.wait_for(asyncio.to_thread(serve.status), _STATUS_WITHIN_S)
    except Exception:  # noqa: BLE001 - the boundary: a controller that is ending itself, or busy
        return True
    app = status.applications.get(_app_name())
    return app is not None and app.status != "DELETING"


def _app_name() -> str:
    from ray import serve

    return str(serve.get_replica_context().app_name)


def _replica_name() -> str:
    from ray import serve

    return str(serve.get_replica_context().replica_tag)


async def _run_asgi(app: Callable[..., Awaitable[None]], request: Request) -> Any:
    """The door's answer to a request that Serve has already read.

    Serve hands non-ASGI deployments the parsed request, on 2.55 as on 2.60; handing it the door as an ASGI
    application instead would pickle it on the driver, which Ray 2.55 fails at.
    """
    from starlette.responses import Response

    status, headers, chunks = 500, [], []

    async def send(message: Any) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status, headers = message["status"], message["headers"]
        else:
            chunks.append(message.get("body", b""))

    await app(request.scope, request.receive, send)
    response = Response(b"".join(chunks), status_code=status)
    response.raw_headers = list(headers)
    return response
