"""Requests of the native API: bodies in, samples out, and back.

A malformed body is an `InvalidInputError`; a malformed sample among others is that sample's failure. JSON and msgpack
mean the same: what JSON has no form for is refused in either. Most bodies are well formed: they are read with their
types at once, and only where that fails a sample at a time.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NoReturn

import msgspec

from rayreward.errors import InvalidInputError
from rayreward.sample import Sample
from rayreward.types import FailureKind, Priority, RewardOutput
from rayreward.wire.bodies import (
    Format,
    PrescaleBody,
    RestBody,
    SampleBody,
    ScoreBody,
    TypedScoreBody,
    VersionsChangeBody,
)

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


def decode_score_request(body: bytes, *, format: Format = "json") -> ScoreBody | RestBody:
    """The request of the native API: samples, or the tickets of an earlier one.

    Raises:
        InvalidInputError: not JSON or msgpack, not the schema, or a timeout that is not positive.
    """
    request = _decode_typed(body, format) or _decode_rest(body, format) or _decode_untyped(body, format)
    if isinstance(request, RestBody):
        return request
    if request.timeout_s is not None and not request.timeout_s > 0:
        raise InvalidInputError(f"timeout_s must be above 0 seconds, found {request.timeout_s}")
    if format == "msgpack":
        request.samples = [_refused_foreign(item) for item in request.samples]
    return request


def decode_prescale_request(body: bytes) -> PrescaleBody:
    """The request for replicas.

    Raises:
        InvalidInputError: not JSON, or not the schema.
    """
    try:
        return msgspec.convert(decode_json(body), PrescaleBody)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"the body must be {{'replicas': 4, 'for_s': 120}}: {error}") from None


_TYPED: dict[Format, Any] = {
    "json": msgspec.json.Decoder(TypedScoreBody),
    "msgpack": msgspec.msgpack.Decoder(TypedScoreBody),
}
_RESTS: dict[Format, Any] = {"json": msgspec.json.Decoder(RestBody), "msgpack": msgspec.msgpack.Decoder(RestBody)}


def _decode_typed(body: bytes, format: Format) -> ScoreBody | None:
    """The request where every sample fits, which costs half as much to read; None for the slow way, which explains."""
    try:
        typed: TypedScoreBody = _TYPED[format].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
        return None
    return ScoreBody(list(typed.samples), typed.timeout_s, typed.run, typed.step, typed.priority, typed.early)


def _decode_rest(body: bytes, format: Format) -> RestBody | None:
    try:
        rest: RestBody = _RESTS[format].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
        return None
    return rest


def _decode_untyped(body: bytes, format: Format) -> ScoreBody:
    data = decode_json(body) if format == "json" else _decode_msgpack(body)
    try:
        return msgspec.convert(data, ScoreBody)
    except msgspec.ValidationError as error:
        raise InvalidInputError(
            f"the body must be {{'samples': [...], 'timeout_s'?, 'run'?, 'step'?, 'priority'?, 'early'?}}: {error}"
        ) from None


def _decode_msgpack(body: bytes) -> Any:
    try:
        return msgspec.msgpack.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError) as error:  # TypeError: a key that cannot be one
        raise InvalidInputError(f"the body is not valid msgpack: {error}") from None
    except RecursionError:
        raise InvalidInputError("the body is nested too deeply") from None


def _refused_foreign(item: Any) -> Any:
    """A sample of a msgpack body, or the failure of one that holds what JSON has no form for.

    Both formats then mean the same, and no NaN reaches a reward that JSON would have kept out.
    """
    try:
        flaw = _flaw(msgspec.structs.asdict(item) if isinstance(item, SampleBody) else item)
    except RecursionError:
        flaw = f"values nested deeper than {_MAX_DEPTH} levels"
    if flaw is None:
        return item
    return RewardOutput.failed(FailureKind.INVALID_INPUT, f"a sample may hold what JSON can hold, found {flaw}")


def _flaw(value: Any) -> str | None:
    """What JSON cannot hold in `value`."""
    if value is None or isinstance(value, (str, int)):
        return None
    if isinstance(value, float):
        return None if math.isfinite(value) else "a number that is not finite"
    if isinstance(value, list):
        return next((flaw for flaw in map(_flaw, value) if flaw), None)
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            return "a key that is no text"
        return next((flaw for flaw in map(_flaw, value.values()) if flaw), None)
    return f"a {type(value).__name__}"


def decode_versions_change(body: bytes) -> VersionsChangeBody:
    """The request for another version, or another share of the prompts.

    Raises:
        InvalidInputError: not JSON, or not the schema; the message says where.
    """
    try:
        return msgspec.convert(decode_json(body), VersionsChangeBody)
    except msgspec.ValidationError as error:
        raise InvalidInputError(
            f"the body must be {{'action': 'promote' | 'roll_back' | 'set', 'canary_percent'?, 'shadow_percent'?}}: "
            f"{error}"
        ) from None


def decode_sample(item: Any) -> Sample | RewardOutput:
    """One sample, or the `invalid_input` output of one that is malformed; an output is left as it is."""
    if isinstance(item, RewardOutput):
        return item
    is_typed = isinstance(item, SampleBody)
    try:
        body = item if is_typed else msgspec.convert(item, SampleBody)
        refuse_deep_nesting([body.label, body.metadata, body.messages])
        sample = Sample(
            body.messages, prompt=body.prompt, response=body.response, label=body.label, metadata=body.metadata,
            id=body.id, group_id=body.group_id, group_size=body.group_size, steps=body.steps, token_ids=body.token_ids,
        )  # fmt: skip
        if not is_typed:  # what was read with its type is valid Unicode
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
    samples: Sequence[Sample],
    *,
    timeout_s: float | None = None,
    run: str | None = None,
    step: int | None = None,
    priority: Priority = "train",
    early: bool = False,
    format: Format = "json",
) -> bytes:
    """The body of a native request.

    Raises:
        InvalidInputError: a label or a metadata value that JSON cannot hold.
    """
    bodies = [_sample_body(sample) for sample in samples]
    request = ScoreBody(list(bodies), timeout_s, run, step, priority, early)
    try:
        if format == "msgpack":
            for body in bodies:
                body.label, body.metadata = _as_json(body.label), _as_json(body.metadata)
                body.messages = _as_json(body.messages)
            return msgspec.msgpack.encode(request, enc_hook=_as_list)
        return msgspec.json.encode(request, enc_hook=_as_list)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInputError(f"a sample cannot be written as JSON: {error}") from None


def _as_json(value: Any) -> Any:
    """What the other side would read if `value` came as JSON: NaN as null, a tuple as a list, a key as text."""
    if value is None or isinstance(value, (str, bool)):
        return value
    return msgspec.json.decode(msgspec.json.encode(value, enc_hook=_as_list))


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
