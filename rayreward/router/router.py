"""The router: rewards by name, each behind its own coalescer.

What arrives: samples for a reward, from any door. What leaves: one output a sample, in order, stamped with version
and timings; a line in the reward log for each. An unknown name is the only error: all else is data.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rayreward.errors import UnknownRewardError, did_you_mean
from rayreward.log.record import LogRecord, RewardLog
from rayreward.router.coalescer import Coalescer
from rayreward.router.runs import RunStats, RunTally
from rayreward.types import RewardInfo, RewardOutput, Sample


@dataclass(slots=True)
class Lane:
    """One reward in the router.

    Attributes:
        coalescer: carries its samples to replicas.
        is_ready: whether a replica has loaded it.
        version: as the last answering replica reported it.
    """

    coalescer: Coalescer
    description: str | None = None
    is_ready: bool = False
    version: str | None = None


class Router:
    """Scores by name.

    Args:
        lanes: the rewards; the first is the default.
        main_reward: what an unnamed request is scored by.
        log: where outputs are recorded.
        now: the clock of deadlines, in seconds.
    """

    def __init__(
        self,
        lanes: Mapping[str, Lane],
        *,
        main_reward: str,
        log: RewardLog | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lanes, self.main_reward, self.log, self.now = lanes, main_reward, log, now
        self._runs = RunTally()

    def lane(self, name: str | None) -> tuple[str, Lane]:
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
        self, name: str | None, samples: Sequence[Sample], *, timeout_s: float | None = None
    ) -> list[RewardOutput]:
        """One output a sample, in order.

        Raises:
            UnknownRewardError: no such reward.
        """
        _, lane = self.lane(name)
        outputs = await lane.coalescer.score(samples, timeout_s=timeout_s)
        for output in reversed(outputs):
            if output.version is not None:
                lane.version, lane.is_ready = output.version, True
                break
        return outputs

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
        numbers: Sequence[float | None] = answered if answered is not None else [output.score for output in outputs]
        for sample, output, number in zip(samples, outputs, numbers, strict=True):
            if run is not None:
                self._runs.add(run, output, is_filled=number is not None)
            if self.log is not None:
                self.log.add(LogRecord.of(name, sample, output, run=run, step=step, answered=number))

    def note_unavailable(self, run: str | None) -> None:
        """The run has asked for scores, and no replica has answered."""
        if run is not None:
            self._runs.note_unavailable(run, now_s=self.now())

    def run_stats(self, run: str) -> RunStats:
        """What became of a run's samples; all zero for one that has asked for nothing here."""
        return self._runs.stats(run, now_s=self.now())

    def describe(self) -> list[RewardInfo]:
        """What is served, by name."""
        return [
            RewardInfo(name, "ready" if lane.is_ready else "starting", lane.version, lane.description)
            for name, lane in self.lanes.items()
        ]

    @property
    def is_ready(self) -> bool:
        """Whether every reward has a replica that loaded it."""
        return all(lane.is_ready for lane in self.lanes.values())
