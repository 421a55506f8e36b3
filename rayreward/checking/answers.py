"""Does the reward score the real responses, and what does it pay for them?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rayreward.checking.report import Finding, Range, printable
from rayreward.checking.subject import NOT_TRIED
from rayreward.types import FailureKind, RewardOutput

EXCUSED = frozenset({FailureKind.ABSTAINED, FailureKind.UNPARSEABLE, FailureKind.CANCELLED})
"""Failures that a reward may decide for: a judge's reply that says nothing, a sample it has no opinion of."""


def measure_range(outputs: Sequence[RewardOutput]) -> Range | None:
    """Of the scores; None where there is none."""
    scores = [output.score for output in outputs if output.score is not None]
    if not scores:
        return None
    return Range(len(scores), min(scores), max(scores), sum(scores) / len(scores))


def judge_answers(outputs: Sequence[RewardOutput], names: Sequence[str]) -> Finding:
    """Whether every real response has a score."""
    failed = [(name, output.failure) for name, output in zip(names, outputs, strict=True) if output.failure is not None]
    scored = f"{len(outputs) - len(failed)} of {len(outputs)} real responses have a score"
    if not failed:
        return Finding("answers", "ok", scored)
    kinds: Counter[str] = Counter(failure.kind for _, failure in failed)
    not_tried = sum(output is NOT_TRIED for output in outputs)
    told = kinds - Counter({str(FailureKind.CANCELLED): not_tried}) + Counter({"not tried": not_tried})
    counts = ", ".join(f"{count} {kind}" for kind, count in told.most_common())
    [kind, *_] = [kind for kind, _ in kinds.most_common() if kind not in EXCUSED] or list(kinds)
    name, failure = next((name, failure) for name, failure in failed if failure.kind == kind)
    found = f"{scored}; {counts}; {name}: {printable(failure.message)}"
    if kinds.keys() <= EXCUSED and len(failed) < len(outputs):
        return Finding("answers", "note", found)
    return Finding("answers", "wrong", found, "a sample without a score teaches nothing: mend what the message names")


def judge_range(found: Range | None) -> Finding:
    """Whether the scores say anything; that they are finite is a promise of outputs: others fail as invalid_output."""
    if found is None:
        return Finding("range", "skipped", "nothing was scored")
    text = f"min {found.min:.4g}, mean {found.mean:.4g}, max {found.max:.4g}, all finite"
    if found.min == found.max and found.scored > 1:
        return Finding("range", "note", text, "every response earns the same here: check with right and wrong ones")
    return Finding("range", "ok", text)
