"""The native API on the wire: requests and answers as JSON.

What arrives: bodies. What leaves: samples and outputs, and back. A malformed body is an `InvalidInputError`; a
malformed sample among others is that sample's failure. No NaN is ever written or read: JSON has none. An answer can
always be written: what JSON has no form for is written as text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from rayreward.errors import InvalidInputError, InvalidOutputError
from rayreward.plain import plain
from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardOutput, Sample, Timings


class SampleBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One sample: `messages`, or `prompt` and `response`."""

    messages: list[dict[str, Any]] | None = None
    prompt: str | None = None
    response: str | None = None
    label: Any = None
    metadata: dict[str, Any] | None = None
    id: str | None = None
    group_id: str | None = None
    group_size: int | None = None
    steps: list[str] | None = None
    token_ids: list[int] | None = None


class ScoreBody(msgspec.Struct, forbid_unknown_fields=True):
    """What ``POST /v1/rewards/<reward>`` takes."""

    samples: list[Any]
    timeout_s: float | None = None
    run: str | None = None
    step: int | None = None


class FailureBody(msgspec.Struct):
    """Why a sample has no score."""

    kind: str
    message: str
    component: str | None = None


class MetricBody(msgspec.Struct):
    """One component."""

    score: float | None
    reason: str | None = None
    weight: float = 1.0
    failure: FailureBody | None = None


class TimingsBody(msgspec.Struct):
    """Seconds, and the size of the call that carried the sample."""

    queued_s: float = 0.0
    scored_s: float = 0.0
    computed_s: float = 0.0
    batch_samples: int = 1


class OutputBody(msgspec.Struct):
    """What happened to one sample: `score`, or `failure`."""

    score: float | None = None
    failure: FailureBody | None = None
    reason: str | None = None
    metrics: dict[str, MetricBody] = {}
    token_rewards: list[float] = []
    step_rewards: list[float] = []
    metadata: dict[str, Any] = {}
    version: str | None = None
    timings: TimingsBody | None = None


class AnswerBody(msgspec.Struct):
    """What ``POST /v1/rewards/<reward>`` answers: one output a sample, in order."""

    reward: str
    outputs: list[OutputBody]


class ErrorBody(msgspec.Struct):
    """What a refused request is answered: what was asked, what was found, what to do."""

    error: str
    message: str


_MAX_DEPTH = 64
"""Levels of nesting in a label or a column. Deeper values cannot be pickled, and would break a whole batch there."""


def decode_json(body: bytes) -> Any:
    """A JSON body as Python values. Lone surrogates are let through here and refused a sample at a time.

    Raises:
        InvalidInputError: the body is no JSON; the message says where.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        try:
            # The standard library takes escaped lone surrogates, which msgspec refuses, but NaN and Infinity too.
            return json.loads(body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise InvalidInputError(f"the body is not valid JSON: {error}") from None
    except RecursionError:
        raise InvalidInputError("the body is nested too deeply") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def decode_score_request(body: bytes) -> ScoreBody:
    """The request of the native API.

    Raises:
        InvalidInputError: not JSON, not the schema, or a timeout that is not positive.
    """
    data = decode_json(body)
    try:
        request = msgspec.convert(data, ScoreBody)
    except msgspec.ValidationError as error:
        raise InvalidInputError(
            f"the body must be {{'samples': [...], 'timeout_s'?, 'run'?, 'step'?}}: {error}"
        ) from None
    if request.timeout_s is not None and not request.timeout_s > 0:
        raise InvalidInputError(f"timeout_s must be above 0 seconds, found {request.timeout_s}")
    return request


def decode_sample(item: Any) -> Sample | RewardOutput:
    """One sample, or the `invalid_input` output of one that is malformed."""
    try:
        body = msgspec.convert(item, SampleBody)
        refuse_deep_nesting([body.label, body.metadata, body.messages])
        sample = Sample(
            body.messages, prompt=body.prompt, response=body.response, label=body.label, metadata=body.metadata,
            id=body.id, group_id=body.group_id, group_size=body.group_size, steps=body.steps, token_ids=body.token_ids,
        )  # fmt: skip
        refuse_surrogates(sample.prompt)
        refuse_surrogates(sample.response)
    except (msgspec.ValidationError, InvalidInputError) as error:
        return RewardOutput.failed(FailureKind.INVALID_INPUT, str(error))
    return sample


def refuse_deep_nesting(value: Any) -> None:
    """Refuse a label or a column that nests too deeply.

    Raises:
        InvalidInputError: says how deep it may be.
    """
    if _is_deep(value, _MAX_DEPTH):
        raise InvalidInputError(f"a label or a column is nested deeper than {_MAX_DEPTH} levels")


def _is_deep(value: Any, levels: int) -> bool:
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not levels or any(_is_deep(one, levels - 1) for one in inside if isinstance(one, (dict, list)))


def refuse_surrogates(text: str) -> None:
    """Refuse a text that UTF-8 cannot hold: tokenizers and encoders further on would break on it.

    Raises:
        InvalidInputError: says at which character.
    """
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(
            f"the text has a lone surrogate at character {error.start}; send valid Unicode"
        ) from None


def encode_score_request(
    samples: Sequence[Sample], *, timeout_s: float | None = None, run: str | None = None, step: int | None = None
) -> bytes:
    """The body of a native request.

    Raises:
        InvalidInputError: a label or a metadata value that JSON cannot hold.
    """
    body = ScoreBody([_sample_body(sample) for sample in samples], timeout_s, run, step)
    try:
        return msgspec.json.encode(body, enc_hook=_as_list)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInputError(f"a sample cannot be written as JSON: {error}") from None


def _as_list(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numbers and arrays as data sets hold them
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def refusal_of(sample: Sample) -> RewardOutput | None:
    """The `invalid_input` output of a sample that JSON cannot hold, None for every other."""
    try:
        encode_score_request([sample])
    except InvalidInputError as error:
        return RewardOutput.failed(FailureKind.INVALID_INPUT, str(error))
    return None


def _sample_body(sample: Sample) -> SampleBody:
    has_chat = sample._messages is not None
    return SampleBody(
        messages=[dict(message) for message in sample.messages] if has_chat else None,
        prompt=None if has_chat else sample.prompt,
        response=None if has_chat else sample.response,
        label=sample.label,
        metadata=dict(sample.metadata) or None,
        id=sample.id,
        group_id=sample.group_id,
        group_size=sample.group_size,
        steps=None if sample.steps is None else list(sample.steps),
        token_ids=None if sample.token_ids is None else list(sample.token_ids),
    )


def encode_answer(reward: str, outputs: Sequence[RewardOutput]) -> bytes:
    """The body of a native answer."""
    return encode(AnswerBody(reward, [output_body(output) for output in outputs]))


def encode(body: Any) -> bytes:
    """Any body of ours; what JSON cannot hold is written as text, never refused: it is our own answer."""
    try:
        return msgspec.json.encode(body, enc_hook=plain)
    except Exception:  # noqa: BLE001 - a quoted lone surrogate, metadata that holds itself, a __str__ that raises, …
        return msgspec.json.encode(plain(body))


def output_body(output: RewardOutput) -> OutputBody:
    """An output as its body."""
    return OutputBody(
        score=output.score,
        failure=_failure_body(output.failure),
        reason=output.reason,
        metrics={
            name: MetricBody(metric.score, metric.reason, metric.weight, _failure_body(metric.failure))
            for name, metric in output.metrics.items()
        },
        token_rewards=list(output.token_rewards),
        step_rewards=list(output.step_rewards),
        metadata=dict(output.metadata),
        version=output.version,
        timings=None if output.timings is None else msgspec.convert(output.timings, TimingsBody, from_attributes=True),
    )


def _failure_body(failure: Failure | None) -> FailureBody | None:
    return None if failure is None else FailureBody(failure.kind.value, failure.message, failure.component)


def decode_answer(body: bytes, count: int) -> list[RewardOutput]:
    """The outputs of a native answer to `count` samples.

    Raises:
        InvalidOutputError: it is none, or has another number of outputs.
    """
    try:
        answer = msgspec.json.decode(body, type=AnswerBody)
        outputs = [_output(one) for one in answer.outputs]
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidOutputError(f"the service's answer is not rayreward's: {error}; body {body[:200]!r}") from None
    if len(outputs) != count:
        raise InvalidOutputError(f"the service must give one output a sample: sent {count}, found {len(outputs)}")
    return outputs


def _output(body: OutputBody) -> RewardOutput:
    return RewardOutput(
        body.score,
        {
            name: MetricRewardOutput(metric.score, metric.reason, metric.weight, _failure(metric.failure))
            for name, metric in body.metrics.items()
        },
        reason=body.reason,
        token_rewards=body.token_rewards,
        step_rewards=body.step_rewards,
        metadata=body.metadata,
        failure=_failure(body.failure),
        version=body.version,
        timings=None if body.timings is None else msgspec.convert(body.timings, Timings, from_attributes=True),
    )


def _failure(body: FailureBody | None) -> Failure | None:
    return None if body is None else Failure(FailureKind(body.kind), body.message, body.component)
