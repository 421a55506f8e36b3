"""The native API on the wire: requests and answers, as JSON or msgpack.

What arrives: bodies. What leaves: samples and outputs, and back. Types, requests and answers have a module each.
"""

from __future__ import annotations

from rayreward.wire.answers import decode_answer, decode_rest, encode, encode_answer, encode_rest, output_body
from rayreward.wire.bodies import (
    MSGPACK,
    AnswerBody,
    ErrorBody,
    FailureBody,
    Format,
    MetricBody,
    OutputBody,
    PrescaleBody,
    RestAnswerBody,
    RestBody,
    SampleBody,
    ScoreBody,
    ServiceBody,
    TimingsBody,
    TypedScoreBody,
    VersionsChangeBody,
)
from rayreward.wire.requests import (
    decode_json,
    decode_prescale_request,
    decode_sample,
    decode_score_request,
    decode_versions_change,
    encode_score_request,
    refusal_of,
    refuse_deep_nesting,
    refuse_surrogates,
)

__all__ = [
    "MSGPACK",
    "AnswerBody",
    "ErrorBody",
    "FailureBody",
    "Format",
    "MetricBody",
    "OutputBody",
    "PrescaleBody",
    "RestAnswerBody",
    "RestBody",
    "SampleBody",
    "ScoreBody",
    "ServiceBody",
    "TimingsBody",
    "TypedScoreBody",
    "VersionsChangeBody",
    "decode_answer",
    "decode_json",
    "decode_prescale_request",
    "decode_rest",
    "decode_sample",
    "decode_score_request",
    "decode_versions_change",
    "encode",
    "encode_answer",
    "encode_rest",
    "encode_score_request",
    "output_body",
    "refusal_of",
    "refuse_deep_nesting",
    "refuse_surrogates",
]
