"""Checks a reward: composes the probes, and runs the reward where it can be killed.

What arrives: a reward and samples. What leaves: a report. What it promises: whatever the reward does, a report comes;
it runs in a process of its own with its own deadline, whatever isolation it declares, and no process is left.
"""

from __future__ import annotations

import copy
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rayreward.checking.answers import judge_answers, judge_range, measure_range
from rayreward.checking.batching import probe_batching
from rayreward.checking.determinism import judge_determinism
from rayreward.checking.hacks import (
    THRESHOLD,
    judge_hacks,
    mean_score,
    tricked_positions,
    try_tricks,
    weigh_hacks,
)
from rayreward.checking.hostile import judge_hostile, probe_hostile
from rayreward.checking.material import Material
from rayreward.checking.order import probe_order
from rayreward.checking.report import Finding, Hack, HostileCase, Range, Report, Speed
from rayreward.checking.sameness import differences
from rayreward.checking.speed import judge_speed, measure_speed
from rayreward.checking.subject import Subject
from rayreward.checking.timed import TimedReward
from rayreward.errors import ConfigError, did_you_mean
from rayreward.function import RewardFunction
from rayreward.types import RewardOutput
from rayreward.workers import build_runner

PROBES = ("determinism", "batching", "order", "speed", "hostile", "hacks")
"""What may be skipped. Scoring the real responses once cannot: all else is compared with it."""


@dataclass(frozen=True)
class CheckOptions:
    """How to check.

    Attributes:
        threshold: share of the real mean from which on a hack is wrong.
        timeout_s: that a sample may take; None for the reward's own.
        skip: probes to leave out.
    """

    threshold: float = THRESHOLD
    timeout_s: float | None = None
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.skip:
            if name not in PROBES:
                raise ConfigError(f"no probe is named {name!r}; {did_you_mean(name, PROBES)}")


async def check_reward(
    reward: RewardFunction,
    material: Material,
    options: CheckOptions | None = None,
    *,
    tell: Callable[[str], None] = lambda _line: None,
) -> Report:
    """Run every probe.

    Args:
        reward: what to check.
        material: what to check it with; its units are groups where the reward compares groups.
        options: how.
        tell: is told what goes on.

    Raises:
        RewardLoadError: the reward cannot be loaded in a process of its own.
    """
    options = options or CheckOptions()
    killable = _killable(reward, options.timeout_s)
    check = _Check(material, options, tell)
    async with _subject(killable, material) as subject:
        await check.score_real(subject)
        if check.has_scores:
            await check.look_at_invariances(subject)
            await check.try_hacks(subject)
        await check.send_hostile(subject)
    if check.has_scores and not {"speed", "determinism"} <= {*options.skip}:
        tell("measuring, in another process")
        async with _subject(TimedReward(killable), material) as subject:
            await check.measure(subject)
    return check.report(reward)


class _Check:
    """What the probes have found so far."""

    def __init__(self, material: Material, options: CheckOptions, tell: Callable[[str], None]) -> None:
        self._material, self._options, self._tell = material, options, tell
        self._findings: dict[str, Finding] = {}
        self._first: list[RewardOutput] = []
        self._again: list[RewardOutput] = []
        self._took_s = 0.0
        self._range: Range | None = None
        self._speed: Speed | None = None
        self._cases: list[HostileCase] = []
        self._hacks: list[Hack] = []
        self._real_mean: float | None = None

    @property
    def has_scores(self) -> bool:
        """Whether there is anything to compare with."""
        return self._range is not None

    async def score_real(self, subject: Subject) -> None:
        """The real responses; twice, where that gives scores."""
        material = self._material
        self._tell(f"scoring {len(material.samples)} samples")
        if material.malformed:
            found = f"{material.malformed} lines are no samples; {material.first_malformed}"
            self._add(Finding("data", "note", found, "what a training would lose, too"))
        self._first = await subject.score(material.samples, material.units)
        self._range = measure_range(self._first)
        self._add(judge_answers(self._first, material.names))
        self._add(judge_range(self._range))
        if self.has_scores:
            started_s = time.monotonic()
            self._again = await subject.score(material.samples, material.units)
            self._took_s = time.monotonic() - started_s
        else:
            reason = "no real response has a score: see answers"
            for name in {"determinism", "batching", "order", "speed", "hacks"} - {*self._options.skip}:
                self._add(Finding(name, "skipped", reason))

    async def look_at_invariances(self, subject: Subject) -> None:
        """Batching, then order; each says nothing where what comes before it failed already."""
        reason = None
        if differences(self._first, self._again):
            reason = "scores differ even where nothing was changed: see determinism"
        for name, probe in (("batching", probe_batching), ("order", probe_order)):
            if name in self._options.skip:
                continue
            if reason is not None:
                self._add(Finding(name, "skipped", reason))
                continue
            self._tell(f"looking at {name}")
            self._add(await probe(subject, self._first))
            if self._is_wrong(name):
                reason = "another order makes other batches, and scores depend on those: see batching"

    async def try_hacks(self, subject: Subject) -> None:
        """What cheap answers earn."""
        if "hacks" in self._options.skip:
            return
        if self._is_wrong("batching"):
            reason = "scores depend on what else is in the batch, so a mean says nothing: see batching"
            self._add(Finding("hacks", "skipped", reason))
            return
        self._tell("trying cheap answers")
        real = [self._first[position] for position in tricked_positions(subject)]
        self._real_mean = mean_score(real)
        threshold = self._options.threshold
        self._hacks = weigh_hacks(await try_tricks(subject), real, threshold=threshold)
        self._add(judge_hacks(self._hacks, self._real_mean, threshold=threshold))

    async def send_hostile(self, subject: Subject) -> None:
        """What nobody expects."""
        if "hostile" not in self._options.skip:
            self._tell("sending hostile inputs")
            self._cases = await probe_hostile(subject, self._first)
            self._add(judge_hostile(self._cases))

    async def measure(self, subject: Subject) -> None:
        """Speed, and whether another process gives the same; `subject` tells what it took."""
        material = self._material
        # In the same batches as the first pass where one call takes several, else one by one.
        takes_batches = subject.scores_batches and not subject.compares_groups
        score = subject.score if takes_batches else subject.score_each
        timed = await score(material.samples, material.units)
        if "speed" not in self._options.skip:
            self._speed = measure_speed(timed, samples=len(timed), took_s=self._took_s)
            self._add(judge_speed(self._speed))
        if "determinism" not in self._options.skip:
            self._add(judge_determinism(self._first, self._again, timed, material.names))

    def report(self, reward: RewardFunction) -> Report:
        """All of it."""
        return Report(
            ok=not any(map(self._is_wrong, self._findings)),
            reward=reward.name or type(reward).__name__,
            version=reward.version,
            samples=len(self._material.samples),
            source=self._material.source,
            responses="labels" if self._material.are_labels else "responses",
            findings=[self._findings[name] for name in _ORDER if name in self._findings],
            range=self._range,
            speed=self._speed,
            hostile=self._cases,
            hacks=self._hacks,
            real_mean=self._real_mean,
        )

    def _add(self, finding: Finding) -> None:
        self._findings[finding.check] = finding

    def _is_wrong(self, name: str) -> bool:
        return name in self._findings and self._findings[name].level == "wrong"


_ORDER = ("data", "answers", "range", "determinism", "batching", "order", "speed", "hostile", "hacks")
"""Of the report's lines: what makes others pointless comes first."""


def _killable(reward: RewardFunction, timeout_s: float | None) -> RewardFunction:
    """The same reward in a process of its own."""
    killable = copy.copy(reward)
    killable.isolation = "process"
    killable.timeout_s = reward.timeout_s if timeout_s is None else timeout_s
    return killable


@asynccontextmanager
async def _subject(reward: RewardFunction, material: Material) -> AsyncIterator[Subject]:
    runner = build_runner(reward)
    await runner.start()
    try:
        yield Subject(runner.run, material, reward.compares_groups, reward.scores_batches)
    finally:
        await runner.stop()
