"""The verdict of a probe: does a backend score as the plain forward does, one unit at a time?

What arrives: what a backend and the plain forward have read of the same units. What leaves: a verdict with each measure
beside its limit, and each unit's two answers. Pure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from rayreward.models.golden import ProbeUnit
from rayreward.models.inputs import Reading

FLOAT32_LIMIT = 1e-4
"""Largest difference in fp32, in units of the scores' standard deviation or, where that is below 1, of 1. Measured:
4e-6 for packed units, 6e-5 for padded ones without their positions."""

MEAN_LIMIT, MAX_LIMIT = 0.03, 0.20
"""Of bf16 and fp16, in standard deviations. Measured: 0.02 to 0.03, and 0.06 to 0.19, against fp32."""

SPEARMAN_LIMIT, SIGNS_LIMIT = 0.995, 0.99
CLOSE_PAIR = 0.1
"""Pairs closer than this share of the standard deviation may change places."""

_RANKED_UNITS = 16
"""Of fewer, two neighbours that change places cost more than `SPEARMAN_LIMIT` allows: ranks are then not judged."""


@dataclass(frozen=True, slots=True)
class Row:
    """One unit's two answers. A number is None where there was a failure, which `failure` names."""

    name: str
    tokens: int
    backend: float | None
    plain: float | None
    difference: float | None
    failure: str | None = None

    def __str__(self) -> str:
        what = f"{self.name}, {self.tokens} tokens"
        if self.failure is not None:
            return f"{what}: {self.failure}"
        return f"{what}: {self.backend:.6g} where the plain forward gives {self.plain:.6g}"


@dataclass(frozen=True, slots=True)
class Gate:
    """One measure beside its limit."""

    name: str
    measured: float
    limit: float
    is_least: bool = False

    @property
    def is_met(self) -> bool:
        """Whether the measure is on the right side. A NaN never is."""
        return self.measured >= self.limit if self.is_least else self.measured <= self.limit

    def __str__(self) -> str:
        return f"{self.name} {self.measured:.3g} (limit {self.limit:.3g})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison says.

    Attributes:
        gates: each measure.
        rows: each unit, in the order of the probe.
        std: of the plain forward's scores.
    """

    gates: tuple[Gate, ...]
    rows: tuple[Row, ...]
    std: float = 0.0

    @property
    def is_met(self) -> bool:
        """Whether every gate is met and no unit failed."""
        return bool(self.rows) and all(gate.is_met for gate in self.gates) and not self.failed

    @property
    def failed(self) -> tuple[Row, ...]:
        """Units without two numbers."""
        return tuple(row for row in self.rows if row.failure is not None)

    @property
    def worst(self) -> Row | None:
        """The first unit that failed, else the one that is off by most."""
        if self.failed:
            return self.failed[0]
        return max(self.rows, key=lambda row: row.difference or 0.0, default=None)

    def __str__(self) -> str:
        missed = [str(gate) for gate in self.gates if not gate.is_met]
        if self.failed:
            missed.insert(0, f"{len(self.failed)} of {len(self.rows)} units failed")
        return f"{'; '.join(missed) or 'as the plain forward'}. Worst: {self.worst}"


def compare(
    units: Sequence[ProbeUnit],
    answers: Sequence[Reading | Exception],
    references: Sequence[Reading | Exception],
    *,
    dtype: str,
) -> Verdict:
    """Whether `answers` are `references`, as closely as `dtype` allows.

    Args:
        units: of the probe.
        answers: of the backend, one a unit, in order.
        references: of the plain forward, the same.
        dtype: of the trunk: "float32" is held to `FLOAT32_LIMIT`, all others to the limits of bf16.

    Example:
        >>> from rayreward.models.inputs import ModelInput
        >>> unit = ProbeUnit("an example", ModelInput((1, 2, 3)))
        >>> verdict = compare([unit] * 2, [Reading(1.0, 1.0), Reading(2.0, 2.0)],
        ...                   [Reading(1.0, 1.0), Reading(3.0, 3.0)], dtype="float32")
        >>> verdict.is_met, str(verdict.worst)
        (False, 'an example, 3 tokens: 2 where the plain forward gives 3')
    """
    triples = list(zip(units, answers, references, strict=True))
    rows = tuple(_row(*triple) for triple in triples)
    read = [(one, other) for _, one, other in triples if isinstance(one, Reading) and isinstance(other, Reading)]
    if not read:
        return Verdict((), rows)
    mine, plain = [one.raw for one, _ in read], [other.raw for _, other in read]
    std = statistics.pstdev(plain)
    gates = [*_size_gates("raw", mine, plain, dtype), *_order_gates(mine, plain, std)]
    for name, (one_side, other_side) in _others(read).items():
        gates += _size_gates(name, one_side, other_side, dtype)
    return Verdict(tuple(gates), rows, std)


def _row(probed: ProbeUnit, answer: Reading | Exception, reference: Reading | Exception) -> Row:
    tokens = len(probed.unit.ids)
    failures = [
        f"{who} failed: {type(one).__name__}: {one}"
        for who, one in (("the backend", answer), ("the plain forward", reference))
        if isinstance(one, Exception)
    ]
    if isinstance(answer, Reading) and isinstance(reference, Reading):
        if (answer.heads.keys(), len(answer.steps)) == (reference.heads.keys(), len(reference.steps)):
            off = abs(answer.raw - reference.raw)
            return Row(probed.purpose, tokens, answer.raw, reference.raw, off)
        failures.append(
            f"the backend gives {len(answer.heads)} heads and {len(answer.steps)} steps, the plain forward "
            f"{len(reference.heads)} and {len(reference.steps)}"
        )
    return Row(probed.purpose, tokens, None, None, None, "; ".join(failures))


def _size_gates(name: str, mine: Sequence[float], plain: Sequence[float], dtype: str) -> list[Gate]:
    off = [abs(one - other) for one, other in zip(mine, plain, strict=True)]
    std = statistics.pstdev(plain)
    if dtype == "float32":
        return [Gate(f"{name}: largest difference", _largest(off), FLOAT32_LIMIT * max(1.0, std))]
    # Of numbers that are all alike, nothing is a share: a gate's limit is then 0, and only equality meets it.
    return [
        Gate(f"{name}: mean difference", statistics.fmean(off), MEAN_LIMIT * std),
        Gate(f"{name}: largest difference", _largest(off), MAX_LIMIT * std),
    ]


def _largest(values: Sequence[float]) -> float:
    """The maximum, and NaN if any is: `max` depends on where it stands."""
    return math.nan if any(math.isnan(value) for value in values) else max(values)


def _order_gates(mine: Sequence[float], plain: Sequence[float], std: float) -> list[Gate]:
    gates = []
    if len(plain) >= _RANKED_UNITS:
        gates.append(Gate("rank correlation", spearman(mine, plain), SPEARMAN_LIMIT, is_least=True))
    apart = [
        (mine[a] - mine[b]) * (plain[a] - plain[b]) > 0
        for a, b in combinations(range(len(plain)), 2)
        if abs(plain[a] - plain[b]) > CLOSE_PAIR * std
    ]
    if apart:
        gates.append(Gate("pairs in the same order", sum(apart) / len(apart), SIGNS_LIMIT, is_least=True))
    return gates


def _others(read: Sequence[tuple[Reading, Reading]]) -> Mapping[str, tuple[list[float], list[float]]]:
    """Numbers beside the raw one: the normalised score, the heads by name, the steps all together."""
    sides: dict[str, tuple[list[float], list[float]]] = {"score": ([], [])}
    for one, other in read:
        named = {"score": (one.score, other.score)}
        named |= {f"head {name}": (one.heads[name], other.heads[name]) for name in one.heads.keys() & other.heads}
        for name, (mine, plain) in named.items():
            left, right = sides.setdefault(name, ([], []))
            left.append(mine)
            right.append(plain)
        if one.steps and len(one.steps) == len(other.steps):
            left, right = sides.setdefault("steps", ([], []))
            left.extend(one.steps)
            right.extend(other.steps)
    return sides


def spearman(left: Sequence[float], right: Sequence[float]) -> float:
    """Rank correlation, ties given their mean rank. Range [-1, 1]; 1.0 where all are equal on both sides.

    Example:
        >>> spearman([1.0, 2.0, 3.0], [10.0, 20.0, 15.0])
        0.5
    """
    ranks_left, ranks_right = _ranks(left), _ranks(right)
    if len(set(ranks_left)) == 1 or len(set(ranks_right)) == 1:
        return 1.0 if ranks_left == ranks_right else 0.0
    return statistics.correlation(ranks_left, ranks_right)


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    start = 0
    for end in range(1, len(order) + 1):
        if end == len(order) or values[order[end]] != values[order[start]]:
            for at in order[start:end]:
                ranks[at] = (start + end - 1) / 2
            start = end
    return ranks
