"""The router: rewards by name, each behind its own coalescer.

What arrives: samples for a reward, from any door. What leaves: one output a sample, in order, stamped with version
and timings; a line in the reward log for each. An unknown name is the only error: all else is data.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from rayreward.errors import UnknownRewardError, did_you_mean
from rayreward.log.record import LogRecord, RewardLog
from rayreward.router.admission import Admission, AdmissionPolicy, Gate, Ticket
from rayreward.router.known_soon import PATIENCE_S, known_soon
from rayreward.router.lane import Lane
from rayreward.router.prescale import Prescaled
from rayreward.router.reward_lane import RewardLane
from rayreward.router.rollout import RewardVersions
from rayreward.router.runs import RunStats, RunTally
from rayreward.router.stats import RouterStats
from rayreward.router.terms import Terms, rank_of
from rayreward.sample import Sample
from rayreward.types import FailureKind, Priority, RewardInfo, RewardOutput
from rayreward.wire import VersionsChangeBody
from rayreward.workers.outcomes import Outcome

__all__ = ["Lane", "Router"]


class Router:
    """Scores by name.

    Args:
        lanes: the rewards; the first is the default.
        main_reward: what an unnamed request is scored by.
        log: where outputs are recorded.
        admission: how much may wait.
        now: the clock of deadlines, in seconds.
    """

    def __init__(
        self,
        lanes: Mapping[str, RewardLane],
        *,
        main_reward: str,
        log: RewardLog | None = None,
        admission: AdmissionPolicy | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gate = Gate(Admission(admission or AdmissionPolicy(), now=now))
        self.lanes, self.main_reward, self.log, self.now = lanes, main_reward, log, now
        self._runs = RunTally()

    def lane(self, name: str | None) -> tuple[str, RewardLane]:
        """The reward's lane; the main reward's for None.

        Raises:
            UnknownRewardError: names what is served.
        """
        name = name or self.main_reward
        lane = self.lanes.get(name)
        if lane is None:
            raise UnknownRewardError(f"no reward {name!r} is served here; {did_you_mean(name, self.lanes)}")
        return name, lane

    async def score(
        self,
        name: str | None,
        samples: Sequence[Sample],
        *,
        timeout_s: float | None = None,
        priority: Priority = "train",
        caller: str | None = None,
        group_size: int | None = None,
        is_held: bool = False,
    ) -> list[RewardOutput]:
        """One output a sample, in order.

        Args:
            name: the reward; the main one where left out.
            samples: what to score.
            timeout_s: after which samples without an answer fail as `timeout`.
            priority: "train" goes before "eval", and "batch" comes last.
            caller: whose samples they are (the run): callers take turns.
            group_size: of how many samples a prompt's group is, where the samples do not say.
            is_held: whether it is held while too much waits, and not refused: a training would be lost. What is not let
                in within `timeout_s` fails as `rejected`.

        Raises:
            UnknownRewardError: no such reward.
            InvalidInputError: no such priority.
            BackpressureError: too much waits already; nothing was scored.
        """
        name, lane = self.lane(name)
        if not samples:
            return []
        terms = Terms(timeout_s, rank_of(priority), caller or "", group_size)
        ticket = _ticket(name, samples, terms)
        entered = terms if self._gate.admission.enters(ticket) else await self._enter(ticket, terms, is_held=is_held)
        if entered is None:
            return [_too_full(timeout_s)] * len(samples)
        try:
            return await lane.score(samples, entered)
        finally:
            self._gate.leave(ticket)

    async def begin(
        self,
        name: str | None,
        samples: Sequence[Sample],
        *,
        timeout_s: float | None = None,
        priority: Priority = "train",
        caller: str | None = None,
        is_held: bool = False,
        patience_s: float = PATIENCE_S,
    ) -> Sequence[Outcome]:
        """`score` for a client that asks for many callers at once: what is not known in time is a future of its output.

        Args, and what is raised, are those of `score`; `patience_s` is how long all are waited for.
        """
        name, lane = self.lane(name)
        terms = Terms(timeout_s, rank_of(priority), caller or "")
        if not samples:
            return []
        ticket = _ticket(name, samples, terms)
        entered = terms if self._gate.admission.enters(ticket) else await self._enter(ticket, terms, is_held=is_held)
        if entered is None:
            return [_too_full(timeout_s)] * len(samples)

        async def score(asked: Sequence[Sample]) -> list[RewardOutput]:
            try:
                return await lane.score(asked, entered)
            finally:
                self._gate.leave(_ticket(name, asked, terms))

        parts = lane.parts(samples)
        if parts is None:
            return await score(samples)
        return await known_soon([(part, score([samples[at] for at in part])) for part in parts], patience_s=patience_s)

    async def _enter(self, ticket: Ticket, terms: Terms, *, is_held: bool) -> Terms | None:
        """What is left of the terms when a ticket has entered that had no room at once; None where it never had."""
        started_s = self.now()
        if not is_held:
            await self._gate.enter(ticket, timeout_s=terms.timeout_s)
        elif not await self._gate.enter_in_turn(ticket, timeout_s=terms.timeout_s):
            return None
        return terms.after(self.now() - started_s)

    def records(self, run: str | None) -> bool:
        """Whether `record` keeps anything of this run's samples."""
        return run is not None or self.log is not None

    def record(
        self,
        name: str,
        samples: Sequence[Sample],
        outputs: Sequence[RewardOutput],
        *,
        run: str | None = None,
        step: int | None = None,
        answered: Sequence[float] | None = None,
    ) -> None:
        """Count and log what was answered; `answered` are the numbers a trainer got where they are not the scores."""
        if not self.records(run):
            return
        numbers: Sequence[float | None] = answered if answered is not None else [output.score for output in outputs]
        for sample, output, number in zip(samples, outputs, numbers, strict=True):
            if run is not None:
                self._runs.add(run, output, is_filled=number is not None)
            if self.log is not None:
                self.log.add(LogRecord.of(name, sample, output, run=run, step=step, answered=number))

    def record_outcomes(
        self,
        name: str,
        samples: Sequence[Sample],
        outcomes: Sequence[Outcome],
        *,
        run: str | None = None,
        step: int | None = None,
    ) -> None:
        """Record what `begin` has brought, each when it is known."""
        known = [outcome for outcome in outcomes if isinstance(outcome, RewardOutput)]
        if len(known) == len(outcomes):
            self.record(name, samples, known, run=run, step=step)
            return

        def note(sample: Sample, late: asyncio.Future[RewardOutput]) -> None:
            if not late.cancelled():
                self.record(name, [sample], [late.result()], run=run, step=step)

        ready = [sample for sample, one in zip(samples, outcomes, strict=True) if isinstance(one, RewardOutput)]
        self.record(name, ready, known, run=run, step=step)
        for sample, outcome in zip(samples, outcomes, strict=True):
            if not isinstance(outcome, RewardOutput):
                outcome.add_done_callback(partial(note, sample))

    def note_unavailable(self, run: str | None) -> None:
        """The run has asked for scores, and no replica has answered."""
        if run is not None:
            self._runs.note_unavailable(run, now_s=self.now())

    def run_stats(self, run: str) -> RunStats:
        """What became of a run's samples; all zero for one that has asked for nothing here."""
        return self._runs.stats(run, now_s=self.now())

    def describe(self) -> list[RewardInfo]:
        """What is served, by name."""
        return [lane.info(name) for name, lane in self.lanes.items()]

    def versions(self, name: str | None) -> RewardVersions:
        """A reward's versions, and who meets which.

        Raises:
            UnknownRewardError: no such reward.
        """
        name, lane = self.lane(name)
        return lane.versions(name)

    async def change_versions(self, name: str | None, change: VersionsChangeBody) -> RewardVersions:
        """Another version of a reward, or another share of its prompts, from the next call on.

        Raises:
            UnknownRewardError: no such reward.
            RolloutError: it cannot be made from where the versions stand.
            InvalidInputError: the change contradicts itself.
        """
        name, lane = self.lane(name)
        return await lane.change(name, change)

    def stats(self) -> RouterStats:
        """What is going on, for whoever watches."""
        admission = self._gate.admission
        return RouterStats(
            inside_samples=admission.total.samples,
            inside_bytes=admission.total.size_bytes,
            held_count=admission.held_count,
            refused_count=admission.stats.refused_count,
            lanes=tuple(one for name, lane in self.lanes.items() for one in lane.all_stats(name)),
        )

    def prescale(self, name: str | None, replicas: int, *, for_s: float) -> Prescaled:
        """Wish for replicas of a reward before there is work for them.

        Args:
            name: the reward; the main one where left out.
            replicas: so many, at least; 0 takes an earlier wish back.
            for_s: how long.

        Raises:
            UnknownRewardError: no such reward.
            InvalidInputError: the number of its replicas is fixed, or what is wished for is no number of them.
        """
        name, lane = self.lane(name)
        return lane.prescale(name, replicas, for_s=for_s)

    @property
    def starting(self) -> list[str]:
        """Rewards that should have a replica and have none that loaded them; one that may sleep is never among them."""
        return [name for name, lane in self.lanes.items() if not (lane.is_ready or lane.can_sleep)]

    @property
    def starts(self) -> dict[str, Any]:
        """What each of those that start is at."""
        infos = {name: self.lanes[name].info(name) for name in self.starting}
        return {name: info.extra["starting"] for name, info in infos.items() if "starting" in info.extra}

    @property
    def is_ready(self) -> bool:
        """Whether every reward that should have a replica has one that loaded it."""
        return not self.starting


def _too_full(timeout_s: float | None) -> RewardOutput:
    text = f"too much waited in the router for {timeout_s} s: it takes what its 'admission' limits say"
    return RewardOutput.failed(FailureKind.REJECTED, text)


def _ticket(name: str, samples: Sequence[Sample], terms: Terms) -> Ticket:
    size_bytes = sum([sample.size_bytes for sample in samples])
    return Ticket(name, terms.caller, terms.priority, len(samples), size_bytes)
