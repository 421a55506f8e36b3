"""What is on the wire, as types; `/openapi.json` is made from them."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from rayreward.types import Priority

Format = Literal["json", "msgpack"]
"""How the native API's bodies are written: the same fields either way."""

MSGPACK = frozenset({"application/msgpack", "application/x-msgpack", "application/vnd.msgpack"})
"""Media types that mean msgpack; application/msgpack is what is answered."""


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


class ScoreBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What ``POST /v1/rewards/<reward>`` takes; whether there is such a priority is the router's to say."""

    samples: list[Any]
    timeout_s: float | None = None
    run: str | None = None
    step: int | None = None
    priority: str = "train"
    early: bool = False


class TypedScoreBody(msgspec.Struct, forbid_unknown_fields=True):
    """`ScoreBody` with its samples' schema: what is tried first; where a sample does not fit, each is read alone."""

    samples: list[SampleBody]
    timeout_s: float | None = None
    run: str | None = None
    step: int | None = None
    priority: Priority = "train"
    early: bool = False


class RestBody(msgspec.Struct, forbid_unknown_fields=True):
    """What the same route takes of a client whose call was answered early: the tickets of what it still waits for."""

    tickets: list[str]


class RestAnswerBody(msgspec.Struct):
    """What that is answered: by the ticket's position, as text, what is known by now; a ticket in neither still holds.

    `unknown` are the positions of tickets that nobody keeps: their samples are to be sent again.
    """

    outputs: dict[str, OutputBody]
    unknown: list[int]


class PrescaleBody(msgspec.Struct, forbid_unknown_fields=True):
    """What ``POST /v1/rewards/<reward>/prescale`` takes: at least so many replicas, for so many seconds from now."""

    replicas: int
    for_s: float


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


class AnswerBody(msgspec.Struct, omit_defaults=True):
    """What ``POST /v1/rewards/<reward>`` answers: one output a sample, in order.

    Asked with `early`, null stands for a sample that is still under way, and `tickets`, by its position as text, says
    how it is asked for.
    """

    reward: str
    outputs: list[OutputBody | None]
    tickets: dict[str, str] = {}


class ErrorBody(msgspec.Struct):
    """What a refused request is answered: what was asked, what was found, what to do."""

    error: str
    message: str


class ServiceBody(msgspec.Struct):
    """Where a service is reached.

    `service` is the same for every router of it, and another for every other service; `fast_url` is the router's own
    port, where it has one; null means that requests come through Serve's proxy.
    """

    service: str = ""
    fast_url: str | None = None


class VersionsChangeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``POST /v1/rewards/<reward>/versions`` takes: a change of who scores.

    "promote" lets the candidate answer everything, "roll_back" the version that did before; "set" gives the candidate
    other shares of the prompts, in percent: to answer (canary), and to score unseen (shadow).
    """

    action: Literal["promote", "roll_back", "set"]
    canary_percent: float | None = None
    shadow_percent: float | None = None
