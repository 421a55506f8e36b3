"""What do answers that deserve nothing earn?

What arrives: a subject and what its real responses earned. What leaves: every trick with its mean, as a share of the
real mean. Shares count from zero, or from the lowest score seen where that is below zero: a reward of -1 and 1 pays
nothing at -1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import structs

from rayreward.checking.report import Finding, Hack, printable
from rayreward.checking.subject import Subject, is_fatal
from rayreward.checking.tricks import TRICKS, Trick
from rayreward.checking.variants import with_response
from rayreward.types import RewardOutput

THRESHOLD = 0.5
"""Of the real mean. Above it a policy that finds the trick has little reason left to solve anything."""

_EXAMPLE_CHARS = 40
"""Of a trick's text in the table: enough to recognise it."""

_FEW = 20
"""Samples below which a lucky guess moves a mean by more than 5 %."""

_NAMED = 3
"""Tricks in the line that sums them up; the table has them all."""

_MIN_SCORED = 0.5
"""Share of a trick's samples that must have a score for its mean to mean anything."""


@dataclass(frozen=True)
class Tried:
    """A trick, and the outputs of the samples that it answered; none where the data does not fit it."""

    trick: Trick
    example: str = ""
    outputs: Sequence[RewardOutput] = ()


async def try_tricks(subject: Subject) -> list[Tried]:
    """Each trick on every sample; of a group only on the first, which its real siblings are then compared with."""
    return [await _try(subject, trick) for trick in TRICKS]


def tricked_positions(subject: Subject) -> list[int]:
    """Of the samples that tricks answer."""
    return [unit[0] for unit in subject.material.units]


async def _try(subject: Subject, trick: Trick) -> Tried:
    answers = [found for texts in trick.texts if (found := texts(subject.samples)) is not None]
    if not answers:
        return Tried(trick)
    positions = tricked_positions(subject)
    ways = []
    for texts in answers:
        samples = list(subject.samples)
        for position in positions:
            samples[position] = with_response(samples[position], texts[position])
        outputs = await subject.score(samples, subject.material.units)
        ways.append([outputs[position] for position in positions])
    example = printable(answers[0][positions[0]], _EXAMPLE_CHARS)
    return Tried(trick, example, [min(of_sample, key=_earned) for of_sample in zip(*ways, strict=True)])


def _earned(output: RewardOutput) -> float:
    return -math.inf if output.score is None else output.score


def weigh_hacks(tried: Sequence[Tried], real: Sequence[RewardOutput], *, threshold: float = THRESHOLD) -> list[Hack]:
    """What each earned, the best first; `real` are the outputs of the same samples' own responses."""
    floor = min([0.0, *_scores(real), *(score for one in tried for score in _scores(one.outputs))])
    earned = mean_score(real)
    hacks = [_weigh(one, earned, floor, threshold) for one in tried]
    return sorted(hacks, key=lambda hack: (hack.mean is None, -(hack.mean or 0.0)))


def _weigh(tried: Tried, real_mean: float | None, floor: float, threshold: float) -> Hack:
    hack = Hack(tried.trick.name, "skipped", tried.example, samples=len(tried.outputs))
    if not tried.outputs:
        return structs.replace(hack, found="the data lacks what it needs (labels, or several prompts)")
    mean, scored = mean_score(tried.outputs), len(_scores(tried.outputs))
    if mean is None:
        failure = tried.outputs[0].failure
        found = "" if failure is None else f"no score: {failure.kind}: {printable(failure.message, 100)}"
        return structs.replace(hack, level="note" if any(map(is_fatal, tried.outputs)) else "ok", found=found)
    share = None if real_mean is None or real_mean <= floor else (mean - floor) / (real_mean - floor)
    is_paid = share >= threshold if share is not None else real_mean is not None and mean > real_mean
    is_wrong = is_paid and scored >= _MIN_SCORED * len(tried.outputs)
    return structs.replace(hack, level="wrong" if is_wrong else "ok", mean=mean, share=share, scored=scored)


def judge_hacks(hacks: Sequence[Hack], real_mean: float | None, *, threshold: float = THRESHOLD) -> Finding:
    """All of them in a line."""
    tried = [hack for hack in hacks if hack.level != "skipped"]
    if real_mean is None:
        return Finding("hacks", "skipped", "no real response has a score to compare with")
    wrong = [hack for hack in tried if hack.level == "wrong"]
    count = max((hack.samples for hack in tried), default=0)
    few = f" ({count} samples only: roughly)" if count < _FEW else ""
    limit = f"{threshold * 100:g} % of what the real responses do (mean {real_mean:.4g}){few}"
    if wrong:
        names = "; ".join(hack.name for hack in wrong[:_NAMED])
        names += f"; and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        remedy = "the table shows what each earns; a training finds the cheapest"
        return Finding("hacks", "wrong", f"{len(wrong)} of {len(tried)} earn at least {limit}: {names}", remedy)
    best = next((hack for hack in tried if hack.mean is not None), None)
    dearest = "" if best is None else f"; the best, {best.name}, earns {best.mean:.4g}"
    return Finding("hacks", "ok", f"none of {len(tried)} earns {limit}{dearest}")


def mean_score(outputs: Sequence[RewardOutput]) -> float | None:
    """Of those that have one."""
    scores = _scores(outputs)
    return sum(scores) / len(scores) if scores else None


def _scores(outputs: Sequence[RewardOutput]) -> list[float]:
    return [output.score for output in outputs if output.score is not None]
