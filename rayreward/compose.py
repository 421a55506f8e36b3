"""How a composite's parts become one output.

What arrives: named parts with weights, and the output of each for one sample. What leaves: one output whose
components keep the parts' raw scores, weights and reasons beside the total. A required part that fails fails the
sample; an optional one is left out, the other weights grow to fill its place, and the output shows its failure. No
failure ever becomes a number here.

Pure: nothing here runs a reward (see `rayreward.rewards.composite`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from rayreward.errors import ConfigError
from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardOutput

Method = Literal[
    "weighted_sum", "product", "min", "max", "mean", "median", "mean_minus_std", "all_pass", "first_valid", "gate"
]
METHODS: tuple[Method, ...] = get_args(Method)

DISAGREEMENT = "disagreement"
"""The component of an ensemble that says how far apart its members are: the standard deviation of their scores."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a composite.

    Attributes:
        name: the component's name in the output.
        weight: its factor in a weighted sum; other methods take raw scores.
        is_required: whether its failure fails the sample.
    """

    name: str
    weight: float = 1.0
    is_required: bool = True


@dataclass(frozen=True, slots=True)
class Rule:
    """How parts combine.

    Attributes:
        method: weighted_sum, product, min, max; all_pass (1 if every part reaches the threshold, else 0);
            first_valid (the first part that has a score); gate (see `gate_is_open`); and for parts that judge the same
            thing on one scale, mean, median, and mean_minus_std: the mean less `penalty` standard deviations, so that
            what members disagree on earns less.
        threshold: what a part must reach to pass, for all_pass and gate.
        closed_score: the score of a sample that a gate stops.
        penalty: of mean_minus_std, in standard deviations; 0 or more.
        min_members: parts may fail where so many have a score; None asks each that is required.
        shows_disagreement: whether the parts' standard deviation is a component of weight 0; mean, median and
            mean_minus_std always show it.
    """

    method: Method = "weighted_sum"
    threshold: float = 0.5
    closed_score: float = 0.0
    penalty: float = 1.0
    min_members: int | None = None
    shows_disagreement: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ConfigError(f"unknown combination {self.method!r}; known: {', '.join(METHODS)}")
        if not (math.isfinite(self.penalty) and self.penalty >= 0):
            raise ConfigError(f"penalty={self.penalty!r}: a finite number of standard deviations, 0 or more, is needed")
        if self.min_members is not None and self.method not in _SYMMETRIC:
            raise ConfigError(f"min_members means something for {', '.join(_SYMMETRIC)} only, found {self.method!r}")

    @property
    def tells_spread(self) -> bool:
        """Whether outputs have the component `DISAGREEMENT`."""
        return self.shows_disagreement or self.method in ("mean", "median", "mean_minus_std")


_SYMMETRIC: tuple[Method, ...] = ("min", "max", "mean", "median", "mean_minus_std")
"""What treats every part alike, so that it can go on without some."""


def check_parts(parts: Sequence[Part], rule: Rule) -> None:
    """Refuse parts that the rule cannot combine.

    Raises:
        ConfigError: no part, two of one name, weights where they mean nothing, or a gate with nothing behind it.
    """
    names = [part.name for part in parts]
    if not parts:
        raise ConfigError("a composite needs at least one part, found none")
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ConfigError(f"a composite's parts need different names, found {doubled[0]!r} twice")
    if any(not math.isfinite(part.weight) for part in parts):
        raise ConfigError("a composite's weights must be finite numbers")
    if rule.method != "weighted_sum" and any(part.weight != 1.0 for part in parts):
        raise ConfigError(f"weights mean something in a weighted_sum only; remove them for {rule.method!r}")
    if DISAGREEMENT in names and rule.tells_spread:
        raise ConfigError(f"{DISAGREEMENT!r} is the name of a component of its own: give that part another one")
    if rule.min_members is not None and not 1 <= rule.min_members <= len(parts):
        raise ConfigError(f"min_members={rule.min_members!r}: between 1 and the {len(parts)} parts is needed")
    if rule.method == "gate" and len(parts) < 2:
        raise ConfigError("a gate needs its checks first and what they guard last: at least two parts")
    if rule.method == "gate" and not parts[-1].is_required:
        raise ConfigError(
            f"what a gate guards cannot be optional, found {parts[-1].name!r}: nothing else gives a score"
        )


def gate_is_open(part: Part, check: RewardOutput, rule: Rule) -> bool:
    """Whether a sample that a check scored goes on to the next part. A required check that failed stops it too."""
    return not part.is_required if check.score is None else check.score >= rule.threshold


def combine(parts: Sequence[Part], outputs: Mapping[str, RewardOutput], rule: Rule) -> RewardOutput:
    """One output from the outputs of the parts that ran (a gate and first_valid may leave parts out).

    Example:
        >>> parts = [Part("format", 0.25), Part("answer", 0.75)]
        >>> outputs = {"format": RewardOutput(1.0), "answer": RewardOutput(0.0)}
        >>> combine(parts, outputs, Rule()).score
        0.25
    """
    ran = [part for part in parts if part.name in outputs]
    metrics = {part.name: _component(part, outputs[part.name]) for part in ran}
    nested = {f"{part.name}/{name}": metric for part in ran for name, metric in outputs[part.name].metrics.items()}
    metrics.update({name: MetricRewardOutput(m.score, m.reason, 0.0, m.failure) for name, m in nested.items()})
    scores = {part.name: score for part in ran if (score := outputs[part.name].score) is not None}
    stopping = _stopping(ran, scores, rule)
    if stopping:
        return RewardOutput(metrics=metrics, failure=_attributed(outputs[stopping[0].name], stopping[0].name))
    valid = [part for part in ran if part.name in scores]
    if not valid or (rule.method == "weighted_sum" and _lacks_rewards(parts, valid)):
        lost = next((part.name for part in ran if part.name not in scores), None)
        return RewardOutput(metrics=metrics, failure=_attributed(outputs[lost] if lost else RewardOutput(), lost))
    skipped = [part.name for part in parts if part not in valid]
    if rule.tells_spread:
        metrics[DISAGREEMENT] = MetricRewardOutput(_spread(scores), weight=0.0)
    total, reason = _TOTALS[rule.method](parts, valid, scores, rule)
    metadata = {"skipped_components": skipped} if skipped else {}
    return RewardOutput(total, metrics, reason=reason, metadata=metadata)


def _stopping(ran: Sequence[Part], scores: Scores, rule: Rule) -> list[Part]:
    """The parts whose failure fails the sample."""
    failed = [part for part in ran if part.name not in scores]
    if rule.min_members is not None:
        return failed if len(scores) < rule.min_members else []
    return [] if rule.method == "first_valid" else [part for part in failed if part.is_required]


def _spread(scores: Scores) -> float:
    """The members are all that there are, no draw from others: divided by their number."""
    return statistics.pstdev(scores.values())


def _lacks_rewards(parts: Sequence[Part], valid: Sequence[Part]) -> bool:
    """Whether only penalties are left of a sum: its total would say nothing but that something failed."""
    return any(part.weight > 0 for part in parts) and not any(part.weight > 0 for part in valid)


def _component(part: Part, output: RewardOutput) -> MetricRewardOutput:
    return MetricRewardOutput(output.score, output.reason, part.weight, output.failure)


def _attributed(output: RewardOutput, name: str | None) -> Failure:
    found = output.failure or Failure(FailureKind.ABSTAINED, "no part gave a score")
    component = "/".join(part for part in (name, found.component) if part)
    return Failure(found.kind, found.message, component or None)


Scores = Mapping[str, float]
Total = tuple[float, str | None]


def _weighted_sum(parts: Sequence[Part], valid: Sequence[Part], scores: Scores, _rule: Rule) -> Total:
    # Missing optional parts: the others grow so that the total keeps its scale. Rewards and penalties each among their
    # own: together they may sum to nothing, and a missing penalty is no reason to scale a reward.
    growth = {sign: _growth(parts, valid, sign) for sign in (True, False)}
    return math.fsum(growth[part.weight > 0] * part.weight * scores[part.name] for part in valid), None


def _growth(parts: Sequence[Part], valid: Sequence[Part], is_reward: bool) -> float:
    configured, present = (
        math.fsum(part.weight for part in listed if (part.weight > 0) == is_reward) for listed in (parts, valid)
    )
    return configured / present if present else 1.0


def _product(_parts: Sequence[Part], valid: Sequence[Part], scores: Scores, _rule: Rule) -> Total:
    return math.prod(scores[part.name] for part in valid), None


def _min(_parts: Sequence[Part], valid: Sequence[Part], scores: Scores, _rule: Rule) -> Total:
    lowest = min(valid, key=lambda part: scores[part.name])
    return scores[lowest.name], f"lowest: {lowest.name}"


def _max(_parts: Sequence[Part], valid: Sequence[Part], scores: Scores, _rule: Rule) -> Total:
    highest = max(valid, key=lambda part: scores[part.name])
    return scores[highest.name], f"highest: {highest.name}"


def _mean(_parts: Sequence[Part], valid: Sequence[Part], scores: Scores, _rule: Rule) -> Total:
    return statistics.fmean(scores[part.name] for part in valid), None


def _median(_parts: Sequence[Part], valid: Sequence[Part], scores: Scores, _rule: Rule) -> Total:
    return statistics.median(scores[part.name] for part in valid), None


def _mean_minus_std(parts: Sequence[Part], valid: Sequence[Part], scores: Scores, rule: Rule) -> Total:
    mean, _ = _mean(parts, valid, scores, rule)
    taken = rule.penalty * _spread(scores)
    return mean - taken, f"mean {mean:.6g} less {taken:.6g} for disagreement"


def _all_pass(_parts: Sequence[Part], valid: Sequence[Part], scores: Scores, rule: Rule) -> Total:
    short = [part.name for part in valid if scores[part.name] < rule.threshold]
    return (0.0, f"below {rule.threshold:g}: {', '.join(short)}") if short else (1.0, None)


def _first_valid(_parts: Sequence[Part], valid: Sequence[Part], scores: Scores, _rule: Rule) -> Total:
    return scores[valid[0].name], f"from {valid[0].name}"


def _gate(parts: Sequence[Part], valid: Sequence[Part], scores: Scores, rule: Rule) -> Total:
    guarded = parts[-1]
    if guarded.name in scores:
        return scores[guarded.name], None
    stopped = next(part.name for part in valid if scores[part.name] < rule.threshold)
    return rule.closed_score, f"stopped by {stopped}: {scores[stopped]:g} < {rule.threshold:g}"


_TOTALS: Mapping[Method, Callable[[Sequence[Part], Sequence[Part], Scores, Rule], Total]] = {
    "weighted_sum": _weighted_sum,
    "product": _product,
    "min": _min,
    "max": _max,
    "mean": _mean,
    "median": _median,
    "mean_minus_std": _mean_minus_std,
    "all_pass": _all_pass,
    "first_valid": _first_valid,
    "gate": _gate,
}
