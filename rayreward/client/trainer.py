"""Rewards for the rollout actors of a training in the same cluster: a finite number for every sample, in few calls.

What arrives: samples, one or a few at a time, from many coroutines of one process. What leaves: a `TrainerAnswer` for
each. What it promises: what is asked at the same time travels in one handle call; a sample that fails gets the number
of the route's policy, decided by the router, where its siblings are known; a reward that nobody answers for is waited
for, up to a bound, so that the training pauses instead of learning from stand-ins.

What it does not do: decide what a failure becomes (`rayreward.router.openrlhf`).
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rayreward.batches import Rest
from rayreward.client.applications import AUTO
from rayreward.client.call_size import FULL_SLOTS, LIMITS, SLOTS
from rayreward.client.handle import find_app
from rayreward.client.patience import PAUSE_S, score_patiently
from rayreward.errors import ServiceUnavailableError
from rayreward.router.asking_again import asking_again
from rayreward.router.coalescer import Coalescer, Gather
from rayreward.sample import Sample
from rayreward.serve.calls import call_handle
from rayreward.trainers.openrlhf import TrainerAnswer
from rayreward.types import RewardOutput

Call = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Unsettled:
    """A sample that waits for the policy's number."""

    sample: Sample
    output: RewardOutput
    is_unseen: bool
    answer: asyncio.Future[TrainerAnswer]


@dataclass(slots=True, eq=False)
class _Desk:
    """What one event loop has under way: futures belong to the loop that made them."""

    lane: Coalescer
    unsettled: list[Unsettled] = field(default_factory=list)
    settling: set[asyncio.Task[None]] = field(default_factory=set)


class TrainerClient:
    """Asks the router of a reward application on behalf of one training.

    Args:
        app: the Serve application's name; "auto" finds the one that can be meant.
        reward: by which; the application's main reward where left out.
        run: the training.
        wait_s: how long samples wait for a reward that no replica answers for, before the policy speaks.
        timeout_s: after which a sample without an answer fails as `timeout`; the route's own limit is shorter.
        gather: for callers on threads of a pool, who cannot ask in one turn of the loop.
        call: what carries ``(method, *args)`` to the router; Ray by default.
        now: the clock, in seconds.
        sleep: how to wait.
    """

    def __init__(
        self,
        app: str = AUTO,
        *,
        reward: str | None = None,
        run: str | None = None,
        wait_s: float = 600.0,
        timeout_s: float = 300.0,
        gather: Gather | None = None,
        call: Call | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._app, self._reward, self._run = app, reward, run
        self._wait_s, self._timeout_s, self._gather = wait_s, timeout_s, gather
        self._call, self._now, self._sleep = call or self._call_router, now, sleep
        self._handle: Any = None
        self._desks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Desk] = weakref.WeakKeyDictionary()

    async def answer(self, samples: Sequence[Sample]) -> list[TrainerAnswer]:
        """One answer a sample, in order; those of one group travel in one call."""
        outputs = await self._score(samples)
        answers = [None if output.score is None else TrainerAnswer.scored(output, output.score) for output in outputs]
        lost = [position for position, answer in enumerate(answers) if answer is None]
        settled = await asyncio.gather(*(self._settled(samples[position], outputs[position]) for position in lost))
        for position, answer in zip(lost, settled, strict=True):
            answers[position] = answer
        return [answer for answer in answers if answer is not None]

    async def settle(self, sample: Sample, output: RewardOutput) -> TrainerAnswer:
        """The answer for a sample whose output the router has not made; it is counted and logged like any other.

        A failure before anything could be scored, or a score that an environment gives itself.
        """
        return await self._settled(sample, output, is_unseen=True)

    async def _score(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        lane = self._desk().lane
        return await score_patiently(
            lambda asked: lane.score(asked, timeout_s=self._timeout_s),
            samples,
            wait_s=self._wait_s,
            now=self._now,
            sleep=self._sleep,
        )

    async def _settled(self, sample: Sample, output: RewardOutput, *, is_unseen: bool = False) -> TrainerAnswer:
        desk, loop = self._desk(), asyncio.get_running_loop()
        if not desk.unsettled:  # whoever fails in the same turn of the loop travels along
            loop.call_soon(self._start_settling, desk, loop)
        entry = Unsettled(sample, output, is_unseen, loop.create_future())
        desk.unsettled.append(entry)
        return await entry.answer

    def _start_settling(self, desk: _Desk, loop: asyncio.AbstractEventLoop) -> None:
        waiting, desk.unsettled = desk.unsettled, []
        task = loop.create_task(self._settle_all(waiting))
        desk.settling.add(task)
        task.add_done_callback(desk.settling.discard)

    async def _settle_all(self, waiting: Sequence[Unsettled]) -> None:
        samples, outputs = [entry.sample for entry in waiting], [entry.output for entry in waiting]
        unseen = [position for position, entry in enumerate(waiting) if entry.is_unseen]
        try:
            answers = await self._ask_until_answered("settle", samples, outputs, unseen)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever it is belongs to those who wait
            for entry in waiting:
                if not entry.answer.done():
                    entry.answer.set_exception(error)
            return
        for entry, answer in zip(waiting, answers, strict=True):
            if not entry.answer.done():
                entry.answer.set_result(answer)

    async def _ask_until_answered(self, method: str, *args: Any) -> Any:
        give_up_s = self._now() + self._wait_s
        while True:
            try:
                return await self._call(method, self._reward, *args, run=self._run)
            except ServiceUnavailableError:
                if self._now() >= give_up_s:
                    raise
            await self._sleep(PAUSE_S)

    def _desk(self) -> _Desk:
        loop = asyncio.get_running_loop()
        desk = self._desks.get(loop)
        if desk is None:
            lane = Coalescer(
                asking_again(self._score_batch, rest=self._rest),
                slot_count=SLOTS,
                full_slot_count=FULL_SLOTS,
                limits=LIMITS,
                now=self._now,
                gather=self._gather,
            )
            desk = self._desks[loop] = _Desk(lane)
        return desk

    async def _rest(self, tickets: Sequence[str]) -> Rest:
        found: Rest = await self._call("rest", list(tickets))
        return found

    async def _score_batch(self, batch: list[Sample]) -> Sequence[RewardOutput]:
        outputs: Sequence[RewardOutput] = await self._call("score_for_trainer", self._reward, batch, run=self._run)
        return outputs

    async def _call_router(self, method: str, *args: Any, **options: Any) -> Any:
        if self._handle is None:
            # Off the loop: it asks Serve's controller, and a rollout actor's loop drives vLLM meanwhile.
            self._handle = await asyncio.to_thread(find_app, self._app, reward=self._reward)
        return await call_handle(self._handle, method, *args, **options)
