"""Answers of the native API: outputs as bodies, and back.

No NaN is ever written: JSON has none, and msgpack is held to the same. An answer can always be written: what JSON has
no form for is written as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from rayreward.batches import NOT_KNOWN_YET, EarlyBatch, Rest
from rayreward.errors import InvalidOutputError
from rayreward.plain import plain
from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardOutput, Timings
from rayreward.wire.bodies import AnswerBody, FailureBody, Format, MetricBody, OutputBody, RestAnswerBody, TimingsBody


def encode_answer(reward: str, outputs: Sequence[RewardOutput], *, format: Format = "json") -> bytes:
    """The body of a native answer; of an `EarlyBatch` with its tickets."""
    tickets = dict(outputs.tickets) if isinstance(outputs, EarlyBatch) else {}
    known = [None if at in tickets else output_body(output) for at, output in enumerate(outputs)]
    return _encode_outputs(
        AnswerBody(reward, known, {str(at): ticket for at, ticket in tickets.items()}), known, format
    )


def encode_rest(rest: Rest, *, format: Format = "json") -> bytes:
    """The body of what is answered to tickets."""
    known = dict(zip(map(str, rest.positions), map(output_body, rest.outputs), strict=True))
    return _encode_outputs(RestAnswerBody(known, list(rest.unknown)), known.values(), format)


def _encode_outputs(answer: Any, outputs: Iterable[OutputBody | None], format: Format) -> bytes:
    if format == "json":
        return encode(answer)
    for body in outputs:
        if body is not None and body.metadata:
            body.metadata = plain(body.metadata)
    try:
        return msgspec.msgpack.encode(answer)
    except Exception:  # noqa: BLE001 - a lone surrogate in a reason, and whatever else an author's texts hold
        return msgspec.msgpack.encode(plain(answer))


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


_RESTS: dict[Format, Any] = {
    "json": msgspec.json.Decoder(RestAnswerBody),
    "msgpack": msgspec.msgpack.Decoder(RestAnswerBody),
}
_ANSWERS: dict[Format, Any] = {
    "json": msgspec.json.Decoder(AnswerBody),
    "msgpack": msgspec.msgpack.Decoder(AnswerBody),
}


def decode_answer(body: bytes, count: int, *, format: Format = "json") -> list[RewardOutput]:
    """The outputs of a native answer to `count` samples; an `EarlyBatch` where some are still under way.

    Raises:
        InvalidOutputError: it is none, or has another number of outputs.
    """
    try:
        answer: AnswerBody = _ANSWERS[format].decode(body)
        outputs = [NOT_KNOWN_YET if one is None else _output(one) for one in answer.outputs]
        tickets = {int(at): ticket for at, ticket in answer.tickets.items()}
        if {at for at, one in enumerate(answer.outputs) if one is None} != tickets.keys():
            raise ValueError("an output is missing, and no ticket says how it is asked for")
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidOutputError(f"the service's answer is not rayreward's: {error}; body {body[:200]!r}") from None
    if len(outputs) != count:
        raise InvalidOutputError(f"the service must give one output a sample: sent {count}, found {len(outputs)}")
    return EarlyBatch.without(outputs, tickets) if tickets else outputs


def decode_rest(body: bytes, count: int, *, format: Format = "json") -> Rest:
    """What is known of `count` tickets.

    Raises:
        InvalidOutputError: it is no such answer, or speaks of other tickets.
    """
    try:
        answer: RestAnswerBody = _RESTS[format].decode(body)
        outputs = {int(at): _output(one) for at, one in answer.outputs.items()}
        said = [*outputs, *answer.unknown]
        if len(set(said)) != len(said) or not set(said) <= set(range(count)):
            raise ValueError(f"it speaks of the tickets {said}, of {count}")
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidOutputError(f"the service's answer is not rayreward's: {error}; body {body[:200]!r}") from None
    return Rest(list(outputs.values()), list(outputs), answer.unknown)


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
