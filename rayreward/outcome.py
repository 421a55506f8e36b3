"""Whatever a reward returns or raises becomes a `RewardOutput`, here and nowhere else.

What arrives: the value of one call, or its exception. What leaves: outputs, one a sample, in order.
It promises that a NaN, a text, a missing or a surplus value never turns into a number: the sample fails as
`invalid_output`, and its neighbours keep their scores.
"""

from __future__ import annotations

import asyncio
import os
import sysconfig
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rayreward.batches import OutputBatch
from rayreward.errors import (
    BackpressureError,
    InvalidInputError,
    InvalidOutputError,
    MissingExtraError,
    RewardLoadError,
    ServiceUnavailableError,
    shown,
)
from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardOutput, as_metrics, finite_score

FILTER_SCORE = "filter_score"
"""Metadata key of OpenRLHF's second number, `scores`, where a reward gives one beside `rewards`."""

OUT_OF_MEMORY = "out of memory"
"""What the message of a sample begins with whose scoring asked for more than there is."""

_KINDS: tuple[tuple[type[BaseException], FailureKind], ...] = (
    (InvalidInputError, FailureKind.INVALID_INPUT),
    (InvalidOutputError, FailureKind.INVALID_OUTPUT),
    (MissingExtraError, FailureKind.UNAVAILABLE),
    (RewardLoadError, FailureKind.UNAVAILABLE),
    (BackpressureError, FailureKind.REJECTED),
    (ServiceUnavailableError, FailureKind.UNAVAILABLE),
    (TimeoutError, FailureKind.TIMEOUT),
    (asyncio.CancelledError, FailureKind.CANCELLED),
)


def to_output(value: Any) -> RewardOutput:
    """One sample's return value as an output.

    Accepted: a `RewardOutput`; a number; ``(number, {component: number | MetricRewardOutput})``; a dict with `score`
    or `reward` (and `reason`, `metrics`, `metadata`, …); None, which abstains. Anything else is `invalid_output`.

    Example:
        >>> to_output((1, {"format": 0.5})).metrics["format"].score
        0.5
        >>> str(to_output(float("nan")).failure.kind)
        'invalid_output'
    """
    try:
        return _convert(value)
    except Exception as error:  # noqa: BLE001 - the boundary: returned objects are foreign code too
        return RewardOutput.failed(FailureKind.INVALID_OUTPUT, _text_of(error))


def _convert(value: Any) -> RewardOutput:
    if isinstance(value, float):  # as mostly
        return RewardOutput.checked(finite_score(value))
    if isinstance(value, RewardOutput):
        return value
    if value is None:
        return RewardOutput()
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], Mapping):
        return RewardOutput(finite_score(value[0]), as_metrics(value[1]))
    if isinstance(value, Mapping):
        return _convert_mapping(value)
    return RewardOutput.checked(finite_score(value))


def _convert_mapping(value: Mapping[str, Any]) -> RewardOutput:
    fields = dict(value)
    if "score" not in fields and "reward" not in fields:
        raise InvalidOutputError(f"a returned dict needs a 'score', found the keys {sorted(map(str, fields))}")
    names = ("score", "reward", "reason", "token_rewards", "step_rewards")
    known = {name: fields.pop(name) for name in names if name in fields}
    components, metrics = fields.pop("components", None), fields.pop("metrics", None)
    metadata = {**(fields.pop("metadata", None) or {}), **fields}
    return RewardOutput(metrics=components if metrics is None else metrics, metadata=metadata, **known)


def to_outputs(value: Any, count: int) -> list[RewardOutput]:
    """A batch reward's return value as `count` outputs, in order.

    Accepted: a list, tuple, array or tensor of what `to_output` takes; OpenRLHF's dict with `rewards`, `scores` and
    `extra_logs`. A wrong number of values fails the whole batch: nobody can tell which value belongs to whom.
    """
    if isinstance(value, OutputBatch) and len(value) == count:
        return value  # made by rayreward: checked one by one when it was
    try:
        if isinstance(value, Mapping):
            return _from_openrlhf(value, count)
        values = _as_list(value, "a batch reward", count)
    except Exception as error:  # noqa: BLE001 - the boundary: returned objects are foreign code too
        return [RewardOutput.failed(FailureKind.INVALID_OUTPUT, _text_of(error)) for _ in range(count)]
    return [to_output(one) for one in values]


def _as_list(value: Any, what: str, count: int) -> list[Any]:
    if hasattr(value, "tolist"):  # numpy arrays, torch tensors
        value = value.tolist()
        value = value if isinstance(value, list) else [value]
    if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
        raise InvalidOutputError(f"{what} must return one value a sample, found {type(value).__name__}")
    values = list(value)
    if len(values) != count:
        raise InvalidOutputError(f"{what} must return one value a sample: asked for {count}, found {len(values)}")
    return [one[0] if isinstance(one, list) and len(one) == 1 else one for one in values]


def _from_openrlhf(value: Mapping[str, Any], count: int) -> list[RewardOutput]:
    """The dict that OpenRLHF's ``reward_func(queries, prompts, labels)`` returns."""
    if "rewards" not in value:
        raise InvalidOutputError(f"a batch reward's dict needs 'rewards', found the keys {sorted(map(str, value))}")
    outputs = [to_output(one) for one in _as_list(value["rewards"], "'rewards'", count)]
    scores = value.get("scores")
    filters = [None] * count if scores is None else _as_list(scores, "'scores'", count)
    logs: dict[str, Any] = {}
    for name, logged in (value.get("extra_logs") or {}).items():
        logs[str(name)] = logged.tolist() if hasattr(logged, "tolist") else logged
    rows = zip(outputs, filters, strict=True)
    return [_with_logs(output, number, logs, at, count) for at, (output, number) in enumerate(rows)]


def _with_logs(
    output: RewardOutput, filter_score: Any, logs: Mapping[str, Any], position: int, count: int
) -> RewardOutput:
    """One sample's output with its filter score and its share of `extra_logs`."""
    metadata: dict[str, Any] = dict(output.metadata)
    metrics: dict[str, MetricRewardOutput] = dict(output.metrics)
    for name, logged in logs.items():
        own = logged[position] if isinstance(logged, (list, tuple)) and len(logged) == count else logged
        try:
            metrics.update(as_metrics({name: own}) if own is not logged else {})
        except InvalidOutputError:
            own = str(own)  # a text or a NaN beside a good reward: worth showing, no reason to lose the sample
        if name not in metrics:
            metadata[name] = own
    if filter_score is not None:
        try:
            metadata[FILTER_SCORE] = finite_score(filter_score, "'scores'")
        except InvalidOutputError as error:
            return RewardOutput.failed(FailureKind.INVALID_OUTPUT, str(error), metrics=metrics, metadata=metadata)
    return RewardOutput(output.score, metrics, metadata=metadata, failure=output.failure)


def failed_output(error: BaseException) -> RewardOutput:
    """The output of a sample whose reward raised `error`: what it was, and the author's own line that raised it."""
    kind = next((kind for known, kind in _KINDS if isinstance(error, known)), FailureKind.ERROR)
    text = _text_of(error)
    if isinstance(error, MemoryError):
        text = f"{OUT_OF_MEMORY}: {text}{_where(error)}"
    elif kind is FailureKind.ERROR:
        text = f"{type(error).__name__}: {text}{_where(error)}"
    return RewardOutput(failure=Failure(kind, text[:2000]))


def _text_of(error: BaseException) -> str:
    try:
        return str(error) or "(no message)"
    except Exception:  # noqa: BLE001 - the boundary: an author's own error class prints itself here
        return shown(error)


_INSTALLED = (
    f"{Path(__file__).parent}{os.sep}",
    *(f"{sysconfig.get_path(name)}{os.sep}" for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    "<frozen ",
)
"""Folders whose code no reward's author wrote: this package, Python's own, what pip installed."""


def _where(error: BaseException) -> str:
    """File, line and function of the author's innermost frame."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_INSTALLED)] or list(frames)
    if not own:
        return ""
    frame = own[-1]
    return f" ({Path(frame.filename).name}:{frame.lineno} in {frame.name})"
