"""A few real prompts to try a reward with, and what a sane reward makes of them.

What arrives: a spec, then one `Verdict` for each probe. What leaves: probes, then findings. How a probe is carried to
the reward, by HTTP or by Ray, is its callers' business.

The prompts are answered with their labels, where the training has some: a reward that fails on those will fail on
everything. The last probe repeats the first prompt with an answer that is wrong nearly everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.prompts import last_text, sample_rows
from rayreward.jobs.spec import JobSpec

PREFLIGHT_RUN = "preflight"
"""The run that probes belong to, so that they are in no training's means."""

PROBED_PROMPTS = 4

PROBE_TIMEOUT_S = 30.0
"""OpenRLHF waits 180 s for one answer; a reward that needs this long for a lone sample would stall every rollout."""

SLOW_S = 5.0
"""An answer within it waits no longer than a usual generation takes."""

MOST_SCORE = 1e6
"""Beyond it no reward is meant, and bf16 advantages lose their digits."""

WRONG_ANSWER = "I do not know."


@dataclass(frozen=True)
class Probe:
    """One sample to be scored; an invented one stands for prompts that nobody can read here."""

    prompt: str
    response: str
    label: Any
    is_invented: bool = False

    @property
    def as_request(self) -> dict[str, list[Any]]:
        """In the form of OpenRLHF, which sends "" where there is no label."""
        label = "" if self.label is None else self.label
        return {"query": [self.prompt + self.response], "prompts": [self.prompt], "labels": [label]}

    @property
    def as_sample(self) -> dict[str, Any]:
        """As the fields of a `Sample`."""
        return {"prompt": self.prompt, "response": self.response, "label": self.label}


INVENTED = (Probe("What is 1 + 1?", "2", None, is_invented=True),)


@dataclass(frozen=True)
class Verdict:
    """What became of a probe: a score, or why there is none."""

    score: float | None
    problem: str | None
    elapsed_s: float


def build_probes(spec: JobSpec) -> list[Probe]:
    """Probes from the training's own prompts; from invented ones where those are on a hub or broken."""
    rows = sample_rows(spec, PROBED_PROMPTS)
    probes = [_probe(row, spec.data.input_key, spec.data.label_key) for row in rows] or list(INVENTED)
    return [*probes, replace(probes[0], response=WRONG_ANSWER)]


def _probe(row: Any, input_key: str, label_key: str | None) -> Probe:
    prompt = row[input_key]
    text = prompt if isinstance(prompt, str) else last_text(prompt)
    label = row.get(label_key) if label_key is not None else None
    if label is None:
        return Probe(text, text, None)
    return Probe(text, label if isinstance(label, str) else json.dumps(label, default=str), label)


def ask_warm(ask: Callable[[], list[Verdict]]) -> list[Verdict]:
    """The verdicts; asked for once more where they were slow: the first answer may have had to wake a replica."""
    verdicts = ask()
    return verdicts if _slowest_s(verdicts) <= SLOW_S else ask()


def _slowest_s(verdicts: Sequence[Verdict]) -> float:
    """Of those that were scored: a router holds failed samples back for a while, for their siblings' sake."""
    return max((verdict.elapsed_s for verdict in verdicts if verdict.score is not None), default=0.0)


def judge(
    who: str, probes: Sequence[Probe], verdicts: Sequence[Verdict], clip_range: tuple[float, float]
) -> Iterator[Finding]:
    """What is wrong with a reward, by its answers to all probes.

    Args:
        who: names the reward in the findings.
        probes: what it was asked; a reward may well fail on invented ones, which have no label.
        verdicts: what it answered, in their order.
        clip_range: what the trainer cuts scores to.
    """
    is_invented = probes[0].is_invented
    what = f"{len(verdicts)} {'invented' if is_invented else 'real'} prompts"
    problems = list(dict.fromkeys(verdict.problem for verdict in verdicts if verdict.problem is not None))
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    told = "; ".join(problems[:3])
    if not scores:
        remedy = "see the reward's log, and try it by itself: rayreward score"
        yield Finding("reward", f"{who} scored none of {what}: {told}", remedy, is_warning=is_invented)
        return
    if problems:
        found = f"{who} failed on {len(verdicts) - len(scores)} of {what}: {told}"
        yield Finding("reward", found, "see whether it should: rayreward score", is_warning=True)
    yield from _judge_scores(who, scores, clip_range)
    if (slowest_s := _slowest_s(verdicts)) > SLOW_S:
        found = f"{who} took {slowest_s:.1f} s for a handful of samples"
        yield Finding("reward", found, "give it more replicas, or a faster model", is_warning=True)


def _judge_scores(who: str, scores: Sequence[float], clip_range: tuple[float, float]) -> Iterator[Finding]:
    largest = max(scores, key=abs)
    if abs(largest) > MOST_SCORE:
        found = f"{who} scored a sample with {largest:g}"
        yield Finding("reward", found, f"scale it: more than {MOST_SCORE:g} is no reward to learn from")
        return
    if len(scores) > 1 and len(set(scores)) == 1:
        found = f"{who} scored all {len(scores)} probes with {scores[0]:g}, a wrong answer among them"
        yield Finding(
            "reward", found, "without a difference nothing is learnt: check labels and reward", is_warning=True
        )
    if not clip_range[0] <= largest <= clip_range[1]:
        found = f"{who} scored {largest:g}, and the trainer cuts scores to {clip_range[0]:g}..{clip_range[1]:g}"
        yield Finding("reward", found, "scale the reward, or set reward.clip_range", is_warning=True)
