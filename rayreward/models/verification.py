"""``rayreward verify-model``: does this checkpoint, as it would be served, score as it was trained to?

What arrives: the settings of a reward model. What leaves: a report of checks, each with what was found. The plain
forward runs first, one unit at a time and in fp32 where that fits, and is let go before the backend loads the weights
again: a model is never in memory twice. Text and tokens are checked beside the numbers: a doubled BOS changes a score
as silently as a wrong mask.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rayreward.errors import InvalidInputError, RewardLoadError
from rayreward.models.backend import Backend
from rayreward.models.building import build_backend, build_template
from rayreward.models.checkpoint import read_checkpoint
from rayreward.models.families import recognise
from rayreward.models.golden import ProbeUnit, build_probe
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.model_loading import load_model
from rayreward.models.probing import vocabulary_of
from rayreward.models.reference import PlainBackend
from rayreward.models.settings import ModelSettings
from rayreward.models.template_facts import TextFact, text_facts
from rayreward.models.verdict import Row, Verdict, compare

Level = Literal["ok", "note", "wrong", "skipped"]
Tell = Callable[[str], None]

PROBE_TOKENS = 12_000
"""Of the whole probe by default: a minute for a 1B model on two cores, seconds on a GPU."""

_WORST_ROWS = 5


@dataclass(frozen=True)
class Check:
    """One question and what was found."""

    name: str
    level: Level
    found: str


@dataclass(frozen=True)
class ModelReport:
    """All of them.

    Attributes:
        ok: whether nothing is wrong.
        model: as it was asked for.
        backend: the class that ran it.
        dtype: of the trunk.
        plain_dtype: of the plain forward that it was compared with.
        units: in the probe.
        std: of the plain forward's scores.
        worst: the units that are off by most.
    """

    ok: bool
    model: str
    backend: str
    dtype: str
    plain_dtype: str
    units: int
    std: float
    checks: list[Check]
    worst: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class _Reference:
    """What the plain forward says."""

    probe: list[ProbeUnit]
    answers: list[Reading | Exception]
    dtype: str


def verify_model(
    settings: ModelSettings, *, budget_tokens: int = PROBE_TOKENS, tell: Tell = lambda line: None
) -> ModelReport:
    """Check the model; it is loaded twice, one after the other.

    Args:
        settings: the model, as it would be served.
        budget_tokens: of the probe: how much is computed, four times over.
        tell: is told what is being done.

    Raises:
        RewardLoadError: the checkpoint is refused.
        ConfigError: the settings lack what its family needs.
        MissingExtraError: a library is not installed.
    """
    facts = text_facts(build_template(settings), settings)
    tell("reading the units one at a time, by the plain forward")
    reference = _read_reference(settings, budget_tokens)
    tell(f"reading them by backend={settings.backend!r}")
    backend = build_backend(replace(settings, probe=False))
    try:
        backend.load()
        verdict, checks = _compare_ways(backend, reference, settings.precision)
        name = type(getattr(backend, "chosen", backend)).__name__
    finally:
        backend.close()
    checks += [_text_check(fact) for fact in facts]
    worst = sorted(verdict.rows, key=lambda row: (row.failure is None, -(row.difference or 0.0)))[:_WORST_ROWS]
    return ModelReport(
        ok=all(check.level != "wrong" for check in checks),
        model=settings.model_path,
        backend=name,
        dtype=settings.dtype,
        plain_dtype=reference.dtype,
        units=len(reference.probe),
        std=verdict.std,
        checks=checks,
        worst=worst,
    )


def _read_reference(settings: ModelSettings, budget_tokens: int) -> _Reference:
    """In fp32; in the model's own dtype where the device has no room for that."""
    try:
        return _read_plain(replace(settings, dtype="float32"), budget_tokens)
    except RewardLoadError:
        if settings.dtype == "float32":
            raise
        return _read_plain(settings, budget_tokens)


def _read_plain(settings: ModelSettings, budget_tokens: int) -> _Reference:
    checkpoint = read_checkpoint(settings.model_path, revision=settings.revision)
    family = recognise(checkpoint, settings)
    made: list[tuple[Any, Any]] = [load_model(checkpoint, family, settings)]
    trunk, head = made[0]
    vocabulary, marks = vocabulary_of(trunk), head.marks
    plain = PlainBackend(made.pop, device=settings.device, dtype=settings.dtype, max_length=settings.max_length)
    del trunk, head
    try:
        plain.load()
        probe = build_probe(vocabulary, max_length=plain.max_length, budget_tokens=budget_tokens, marks=marks)
        return _Reference(probe, plain.score([one.unit for one in probe]), settings.dtype)
    finally:
        plain.close()


def _compare_ways(backend: Backend, reference: _Reference, dtype: str) -> tuple[Verdict, list[Check]]:
    """The same units in every way that a service may meet them."""
    probe, units = reference.probe, [one.unit for one in reference.probe]
    together = backend.score(units)
    verdict = compare(probe, together, reference.answers, dtype=dtype)
    alone = [backend.score([unit])[0] for unit in units]
    turned = backend.score(units[::-1])[::-1]
    siblings = [at for at, one in enumerate(probe) if one.purpose == "sibling"]
    unshared = [backend.score([replace(units[at], prefix_tokens=0)])[0] for at in siblings]
    shared = backend.score([units[at] for at in siblings])
    checks = [
        _numbers("as the plain forward", verdict),
        _numbers("alone as in a batch", compare(probe, together, alone, dtype=dtype)),
        _numbers("in any order", compare(probe, turned, together, dtype=dtype)),
        _numbers("siblings as without them", compare([probe[at] for at in siblings], shared, unshared, dtype=dtype)),
        _over_long(backend, units),
        _normalised(together),
    ]
    return verdict, checks


def _numbers(name: str, verdict: Verdict) -> Check:
    if verdict.is_met:
        return Check(name, "ok", "; ".join(map(str, verdict.gates)))
    return Check(name, "wrong", str(verdict))


def _over_long(backend: Backend, units: Sequence[ModelInput]) -> Check:
    """A unit that is too long fails alone, and is not cut in secret."""
    filler = units[0].ids[len(units[0].ids) // 2 : len(units[0].ids) // 2 + 1]
    long = replace(units[0], ids=units[0].ids + filler * (backend.max_length + 1 - len(units[0].ids)), segments=())
    first, refused, last = backend.score([units[0], long, units[1]])
    if isinstance(refused, InvalidInputError) and isinstance(first, Reading) and isinstance(last, Reading):
        return Check("over-long input", "ok", f"refused alone: {refused}")
    return Check("over-long input", "wrong", f"{len(long.ids)} tokens were answered by {refused!r}")


def _normalised(answers: Sequence[Reading | Exception]) -> Check:
    """Whether score is one straight line of raw, and which."""
    read = [one for one in answers if isinstance(one, Reading)]
    if not read:
        return Check("normalisation", "skipped", "no unit was scored")
    low, high = min(read, key=lambda one: one.raw), max(read, key=lambda one: one.raw)
    if all(one.raw == one.score for one in read):
        return Check("normalisation", "ok", "none: score is the raw output")
    slope = (high.score - low.score) / (high.raw - low.raw) if high.raw > low.raw else 1.0
    off = max(abs(low.score + slope * (one.raw - low.raw) - one.score) for one in read)
    if slope <= 0 or off > 1e-4 * max(1.0, abs(high.score), abs(low.score)):
        return Check("normalisation", "wrong", f"scores do not follow raw outputs: off by {off:.3g}")
    return Check("normalisation", "ok", f"score = (raw - {low.raw - low.score / slope:.6g}) / {1 / slope:.6g}")


def _text_check(fact: TextFact) -> Check:
    level: Level = "skipped" if fact.is_right is None else "ok" if fact.is_right else "wrong"
    return Check(fact.name, level, fact.found)
