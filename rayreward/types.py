"""What travels beside the samples (`rayreward.sample`): outputs, and what is said of rewards.

Every value here is frozen, picklable and light to import. Two promises hold for all code that makes or moves them:

* an output is a score or a failure, never both and never neither, and its score is a finite number;
* raw score, weight and component name stay apart; a total is derived from them and never replaces them.

Nothing here scores, serves or encodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from rayreward.errors import InvalidOutputError, shown

Priority = Literal["train", "eval", "batch"]
"""Who goes first where samples wait, the most urgent one first; see `rayreward.router.terms.PRIORITIES`."""


class FailureKind(StrEnum):
    """Why a sample has no score: a closed list, so that it can label metrics."""

    TIMEOUT = "timeout"
    ERROR = "error"
    CRASHED = "crashed"
    INVALID_INPUT = "invalid_input"
    INVALID_OUTPUT = "invalid_output"
    UNPARSEABLE = "unparseable"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"
    CANCELLED = "cancelled"
    ABSTAINED = "abstained"


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong for one sample.

    Attributes:
        kind: which of the closed list.
        message: what was asked, what was found, and where, for a person.
        component: the component of a composite that failed, None for the reward itself.
    """

    kind: FailureKind
    message: str
    component: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FailureKind(self.kind))

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" + (f" (component {self.component})" if self.component else "")


def finite_score(value: Any, what: str = "score") -> float:
    """`value` as a finite float: numbers, booleans, numpy and torch scalars.

    Raises:
        InvalidOutputError: it is text, None, NaN, infinite, or more than one number.
    """
    if type(value) is float and math.isfinite(value):
        return value
    # Not isinstance(value, SupportsFloat): on Python 3.11 that took 5.8 us, most of what making an output cost.
    if isinstance(value, (str, bytes)) or not hasattr(type(value), "__float__"):
        raise InvalidOutputError(f"{what} must be a number, found {type(value).__name__} {shown(value)}")
    try:
        single = value.item() if hasattr(value, "item") else value  # arrays of one number among them
        if isinstance(single, str):
            raise TypeError("text is no number")
        number = float(single)
    except Exception as error:  # noqa: BLE001 - the boundary: the author's own type converts itself here
        raise InvalidOutputError(
            f"{what} must be one number, found {shown(value)} ({type(error).__name__}: {error})"
        ) from None
    if not math.isfinite(number):
        raise InvalidOutputError(f"{what} must be finite, found {number}")
    return number


@dataclass(frozen=True, slots=True, init=False)
class MetricRewardOutput:
    """A component of an output: its raw score, its weight and its reason. Not limited to [0, 1].

    `score` is None exactly where `failure` is set: an optional component that could not be computed.
    """

    score: float | None
    reason: str | None
    weight: float
    failure: Failure | None

    def __init__(
        self, score: Any = None, reason: str | None = None, weight: float = 1.0, failure: Failure | None = None
    ) -> None:
        number, failure = _score_or_failure(score, failure)
        object.__setattr__(self, "score", number)
        object.__setattr__(self, "reason", reason)
        object.__setattr__(self, "weight", finite_score(weight, "weight"))
        object.__setattr__(self, "failure", failure)

    @classmethod
    def checked(cls, score: float, reason: str) -> MetricRewardOutput:
        """A component of weight 1 whose score is known to be a finite float: a third of the time."""
        component = cls.__new__(cls)
        put_score, put_reason, put_weight, put_failure = _METRIC_PUTS
        put_score(component, score)
        put_reason(component, reason)
        put_weight(component, 1.0)
        put_failure(component, None)
        return component

    def __reduce__(self) -> tuple[Any, ...]:
        return MetricRewardOutput, (self.score, self.reason, self.weight, self.failure)


@dataclass(frozen=True, slots=True)
class Timings:
    """How long one sample took, in seconds; the one record that log, metrics and headers render.

    Attributes:
        queued_s: waiting in the router for a replica slot.
        scored_s: from leaving the router to the answer, transport included.
        computed_s: inside the reward.
        batch_samples: how many samples travelled in the same call.
    """

    queued_s: float = 0.0
    scored_s: float = 0.0
    computed_s: float = 0.0
    batch_samples: int = 1


@dataclass(frozen=True, slots=True, init=False)
class RewardOutput:
    """What happened to one sample: a score with its components, or a failure.

    It unpacks as ``score, components = output``. `reward` is another name for `score`, at construction and after.

    Attributes:
        score: a finite float, or None where `failure` is set.
        reason: why the score is what it is, for a person.
        metrics: the components by name.
        token_rewards: one reward a response token, for trainers that take them.
        step_rewards: one reward a step, from process rewards.
        metadata: anything else that the reward wants to show; never used for training.
        version: content hash of the reward's code, configuration and weights.

    Raises:
        InvalidOutputError: the score is no finite number, or both a score and a failure were given.

    Example:
        >>> score, components = RewardOutput(score=0.5, metrics={"format": MetricRewardOutput(0.5, "no box")})
        >>> score, components["format"].reason
        (0.5, 'no box')
    """

    score: float | None
    reason: str | None
    metrics: Mapping[str, MetricRewardOutput]
    token_rewards: tuple[float, ...]
    step_rewards: tuple[float, ...]
    metadata: Mapping[str, Any]
    failure: Failure | None
    version: str | None
    timings: Timings | None

    def __init__(
        self,
        score: Any = None,
        metrics: Mapping[str, Any] | None = None,
        *,
        reason: str | None = None,
        reward: Any = None,
        token_rewards: Sequence[float] = (),
        step_rewards: Sequence[float] = (),
        metadata: Mapping[str, Any] | None = None,
        failure: Failure | None = None,
        version: str | None = None,
        timings: Timings | None = None,
    ) -> None:
        if score is not None and reward is not None:
            raise InvalidOutputError("an output takes score or reward (another name for it), not both")
        number, failure = _score_or_failure(reward if score is None else score, failure)
        put = object.__setattr__
        put(self, "score", number)
        put(self, "reason", reason)
        put(self, "metrics", {} if metrics is None else as_metrics(metrics))
        put(self, "token_rewards", _finite_scores(token_rewards, "a token reward"))
        put(self, "step_rewards", _finite_scores(step_rewards, "a step reward"))
        put(self, "metadata", {} if metadata is None else dict(_mapping(metadata, "metadata")))
        put(self, "failure", failure)
        put(self, "version", version)
        put(self, "timings", timings)

    @classmethod
    def checked(
        cls, score: float, metrics: Mapping[str, MetricRewardOutput] | None = None, reason: str | None = None
    ) -> RewardOutput:
        """An output of what is known to be right, a finite float among it: a third of the time, and nothing copied."""
        return _restore_output(score, reason, {} if metrics is None else metrics, (), (), {}, None, None, None)

    @classmethod
    def failed(cls, kind: FailureKind, message: str, *, component: str | None = None, **fields: Any) -> RewardOutput:
        """An output without a score, and why."""
        return cls(failure=Failure(kind, message, component), **fields)

    @property
    def reward(self) -> float | None:
        """Another name for `score`."""
        return self.score

    @property
    def is_valid(self) -> bool:
        """True where there is a score."""
        return self.failure is None

    def stamped(self, *, version: str | None = None, timings: Timings | None = None) -> RewardOutput:
        """The same output with its version or its timings set."""
        return _restore_output(
            self.score,
            self.reason,
            self.metrics,
            self.token_rewards,
            self.step_rewards,
            self.metadata,
            self.failure,
            self.version if version is None else version,
            self.timings if timings is None else timings,
        )

    def __iter__(self) -> Iterator[Any]:
        yield self.score
        yield self.metrics

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_output, tuple(getattr(self, name) for name in RewardOutput.__slots__)


def _restore_output(
    score: Any,
    reason: Any,
    metrics: Any,
    token_rewards: Any,
    step_rewards: Any,
    metadata: Any,
    failure: Any,
    version: Any,
    timings: Any,
) -> RewardOutput:
    """An output of its slots' values, one after the other: a loop takes twice as long, and these are made often."""
    output = object.__new__(RewardOutput)
    _put_score(output, score)
    _put_reason(output, reason)
    _put_metrics(output, metrics)
    _put_token_rewards(output, token_rewards)
    _put_step_rewards(output, step_rewards)
    _put_metadata(output, metadata)
    _put_failure(output, failure)
    _put_version(output, version)
    _put_timings(output, timings)
    return output


(
    _put_score,
    _put_reason,
    _put_metrics,
    _put_token_rewards,
    _put_step_rewards,
    _put_metadata,
    _put_failure,
    _put_version,
    _put_timings,
) = (vars(RewardOutput)[name].__set__ for name in RewardOutput.__slots__)
"""The slots' own setters: a frozen value's other way in."""

_METRIC_PUTS = tuple(getattr(MetricRewardOutput, name).__set__ for name in MetricRewardOutput.__slots__)


def as_metrics(metrics: Mapping[str, Any] | None) -> Mapping[str, MetricRewardOutput]:
    """Components from what rewards return: numbers or `MetricRewardOutput` values by name.

    Raises:
        InvalidOutputError: a component is neither; its name is in the message.
    """
    if metrics is None:
        return {}
    return {
        str(name): value
        if isinstance(value, MetricRewardOutput)
        else MetricRewardOutput(finite_score(value, f"component {shown(name)}"))
        for name, value in _mapping(metrics, "components").items()
    }


def _mapping(value: Mapping[str, Any] | None, what: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidOutputError(f"{what} must be a dict by name, found {type(value).__name__} {shown(value)}")
    return value


def _finite_scores(values: Iterable[Any] | None, what: str) -> tuple[float, ...]:
    if values is None or (isinstance(values, tuple) and not values):
        return ()
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidOutputError(f"{what}s must be a list of numbers, found {type(values).__name__} {shown(values)}")
    return tuple(finite_score(one, what) for one in values)


def _score_or_failure(score: Any, failure: Failure | None) -> tuple[float | None, Failure | None]:
    """Exactly one of the two: a score given is checked, nothing given is an abstention."""
    if score is not None:
        if failure is not None:
            raise InvalidOutputError(f"an output has a score or a failure, found both: {shown(score)} and {failure}")
        return finite_score(score), None
    return None, failure or Failure(FailureKind.ABSTAINED, "the reward gave no score")


@dataclass(frozen=True, slots=True)
class RewardInfo:
    """What a service says of one reward it serves.

    Attributes:
        state: "ready", "starting", "unhealthy", or "idle": it may have no replica, has none, and nothing needs one.
        version: content hash of code, configuration and weights; None while no replica has reported it.
        replicas: that run; None where nobody counts them, for their number is fixed.
    """

    name: str
    state: str
    version: str | None = None
    description: str | None = None
    replicas: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
