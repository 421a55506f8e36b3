"""The golden probe: does a backend score as the plain forward does, one unit at a time?

What arrives: the facts of a model's vocabulary, then what a backend and the plain forward have read of the same units.
What leaves: the units of the probe, the same ones every time for the same facts; and a verdict with its gates. Pure:
no model is run here (see `rayreward.models.probing`), and neither torch nor transformers is imported.

What the units have in them is what has changed scores silently before: the end-of-text token inside of a text, where it
is the padding token too; texts with and without it at their end; lengths from a few tokens to the model's limit; and
siblings that share a prompt.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from rayreward.models.inputs import ModelInput, Reading

FULL_UNITS = 32
"""Of ``rayreward verify-model``: 24 lengths and 8 siblings."""

START_UNITS = 8
"""At a replica's start: 5 lengths and 3 siblings."""

SHORTEST_TOKENS = 16
_SEED = 20240229
"""Of the token ids. Another seed is another probe, whose numbers cannot be compared with earlier ones."""

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
class Vocabulary:
    """What the probe has to know of a model's tokens.

    Attributes:
        size: of the embedding; ids are below it.
        bos: begins a text; None where the model has none.
        eos: ends a text, or None. It may be the padding token too.
        special: ids that stand for no text; the probe's own text uses none of them.
    """

    size: int
    bos: int | None = None
    eos: int | None = None
    special: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ProbeUnit:
    """One unit of the probe, and what it is for."""

    purpose: str
    unit: ModelInput


def build_probe(
    vocabulary: Vocabulary,
    *,
    max_length: int,
    budget_tokens: int,
    count: int = FULL_UNITS,
    marks: Sequence[str] = (),
    has_segments: bool = False,
) -> list[ProbeUnit]:
    """The units, deterministic in what is given.

    Args:
        vocabulary: the model's.
        max_length: of a unit, in tokens.
        budget_tokens: of all units together, so that a probe of a large model ends; the longest give way.
        count: of units; a quarter of them, two at least, are siblings.
        marks: what the head reads beside the last token; see `ModelInput.marks`.
        has_segments: whether the model takes token types.

    Example:
        >>> probe = build_probe(Vocabulary(100, bos=1, eos=2), max_length=64, budget_tokens=2000)
        >>> len(probe), max(len(one.unit.ids) for one in probe)
        (32, 64)
    """
    dice = random.Random(_SEED)
    text = [one for one in range(vocabulary.size) if one not in vocabulary.special] or list(range(vocabulary.size))
    siblings = max(2, count // 4)
    lengths = _lengths(count - siblings, max_length=max_length, budget_tokens=budget_tokens * 3 // 4)
    writer = _Writer(vocabulary, text, dice, marks, has_segments)
    units = [ProbeUnit(_PURPOSES[at % 3], writer.lone(tokens, at % 3)) for at, tokens in enumerate(lengths)]
    shared = max(4, min(max_length // 2, budget_tokens // 4 // siblings // 2, 512))
    return units + [ProbeUnit("sibling", unit) for unit in writer.siblings(siblings, shared, max_length)]


_PURPOSES = ("ends with EOS", "EOS inside", "no EOS at its end")


@dataclass(slots=True)
class _Writer:
    vocabulary: Vocabulary
    text: Sequence[int]
    dice: random.Random
    marks: Sequence[str]
    has_segments: bool

    def lone(self, tokens: int, variant: int) -> ModelInput:
        ids = self._words(tokens)
        eos = self.vocabulary.eos
        if eos is not None and variant < 2:
            ids[-1] = eos
        if eos is not None and variant == 1:
            # In the middle, and doubled before the end: where it is the padding token, whoever looks for the last
            # token that is no padding goes wrong.
            ids[tokens // 2] = ids[-2] = eos
        return self._unit(ids, prefix_tokens=tokens // 2)

    def siblings(self, count: int, shared: int, max_length: int) -> list[ModelInput]:
        prompt = self._words(shared)
        units = []
        for at in range(count):
            tokens = min(max_length - shared, max(2, shared // 4 + 3 * at))
            answer = self.dice.choices(self.text, k=tokens)
            if self.vocabulary.eos is not None:
                answer[-1] = self.vocabulary.eos
            units.append(self._unit([*prompt, *answer], prefix_tokens=shared))
        return units

    def _words(self, tokens: int) -> list[int]:
        ids = self.dice.choices(self.text, k=tokens)
        if self.vocabulary.bos is not None:
            ids[0] = self.vocabulary.bos
        return ids

    def _unit(self, ids: list[int], prefix_tokens: int) -> ModelInput:
        segments = (0,) * len(ids) if self.has_segments else ()
        return ModelInput(tuple(ids), prefix_tokens, segments, self._marked(len(ids), prefix_tokens))

    def _marked(self, tokens: int, prefix_tokens: int) -> dict[str, tuple[int, ...]]:
        """The first token for encoders, a gate at the prompt's end, steps in the answer, all else in order."""
        others = [name for name in self.marks if name not in ("first", "gate", "step")]
        marked: dict[str, tuple[int, ...]] = {
            name: (tokens * (at + 1) // (len(others) + 1),) for at, name in enumerate(others)
        }
        if "first" in self.marks:
            marked["first"] = (0,)
        if "gate" in self.marks:
            marked["gate"] = (prefix_tokens - 1,)
        if "step" in self.marks:
            marked["step"] = tuple(sorted({prefix_tokens, (prefix_tokens + tokens) // 2, tokens - 1}))
        return marked


def _lengths(count: int, *, max_length: int, budget_tokens: int) -> list[int]:
    """Log-spaced, shortest first; the longest is as long as the budget lets it."""
    shortest = min(SHORTEST_TOKENS, max_length)

    def spaced(longest: int) -> list[int]:
        ratio = longest / shortest
        return [round(shortest * ratio ** (at / max(1, count - 1))) for at in range(count)]

    low, high = shortest, max_length
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if sum(spaced(middle)) <= budget_tokens else (low, middle - 1)
    return spaced(low)


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
    std: float = field(default=0.0)

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
