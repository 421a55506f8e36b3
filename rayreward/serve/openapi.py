"""The service's OpenAPI document, made from the wire types themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from rayreward import wire
from rayreward.router.prescale import Prescaled
from rayreward.router.rollout import RewardVersions
from rayreward.router.runs import RunStats
from rayreward.router.terms import PRIORITIES
from rayreward.types import RewardInfo


class OpenRLHFBody(msgspec.Struct):
    """OpenRLHF's request: texts of prompt and response together, the prompts, the labels."""

    query: list[str]
    prompts: list[str] | None = None
    labels: list[Any] | None = None


class OpenRLHFAnswerBody(msgspec.Struct):
    """OpenRLHF's answer: finite rewards in the order of the queries."""

    rewards: list[float]
    scores: list[float | None]
    extra_logs: dict[str, list[float]]


_BODIES = (
    wire.TypedScoreBody, wire.AnswerBody, wire.RestBody, wire.RestAnswerBody, OpenRLHFBody, OpenRLHFAnswerBody,
    wire.ErrorBody, wire.ServiceBody, wire.PrescaleBody, Prescaled, wire.VersionsChangeBody, RewardInfo, RewardVersions,
    RunStats,
)  # fmt: skip


def openapi_document(rewards: Sequence[str]) -> dict[str, Any]:
    """OpenAPI 3.1 for a service of these rewards."""
    _, components = msgspec.json.schema_components(_BODIES, ref_template="#/components/schemas/{name}")
    name = [{"name": "reward", "in": "path", "required": True, "schema": {"enum": list(rewards)}}]
    query = [
        {"name": "run", "in": "query", "required": False, "schema": {"type": "string"}},
        {"name": "group_size", "in": "query", "required": False, "schema": {"type": "integer"}},
        {"name": "priority", "in": "query", "required": False, "schema": {"enum": list(PRIORITIES)}},
    ]
    score = _operation(
        "Score samples, or ask for those that an early answer lacked",
        "TypedScoreBody",
        "AnswerBody",
        media_types=(_JSON, _MSGPACK),
        or_else=("RestBody", "RestAnswerBody"),
    )
    openrlhf = {**_operation("OpenRLHF's remote reward", "OpenRLHFBody", "OpenRLHFAnswerBody"), "parameters": query}
    listing = {"type": "object", "properties": {"rewards": {"type": "array", "items": _ref("RewardInfo")}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "rayreward", "version": _version()},
        "paths": {
            "/get_reward": {"post": openrlhf},
            "/{reward}/get_reward": {"post": openrlhf, "parameters": name},
            "/v1/rewards": {"get": _reading("What is served", listing), "post": score},
            "/v1/rewards/{reward}": {
                "get": _reading("One reward", _ref("RewardInfo")),
                "post": score,
                "parameters": name,
            },
            "/v1/rewards/{reward}/prescale": {
                "post": _operation(
                    "Start replicas before there is work for them",
                    "PrescaleBody",
                    "Prescaled",
                    answered="What is granted, and until when",
                ),
                "parameters": name,
            },
            "/v1/rewards/{reward}/versions": {
                "get": _reading("A reward's versions, and who meets which", _ref("RewardVersions")),
                "post": _changing("Promote, roll back, or give other shares", "VersionsChangeBody", "RewardVersions"),
                "parameters": name,
            },
            "/v1/runs/{run}": {
                "get": _reading("What became of a run's samples", _ref("RunStats")),
                "parameters": [{"name": "run", "in": "path", "required": True, "schema": {"type": "string"}}],
            },
            "/v1/service": {"get": _reading("Where the service is reached", _ref("ServiceBody"))},
            "/health": {"get": _reading("Whether the service runs", {"type": "object"})},
            "/ready": {"get": _reading("Whether every reward has a replica (else 503)", {"type": "object"})},
        },
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def _version() -> str:
    from rayreward import __version__

    return __version__


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_JSON, _MSGPACK = "application/json", "application/msgpack"


def _content(schema: dict[str, Any], media_types: Sequence[str] = (_JSON,)) -> dict[str, Any]:
    return {media_type: {"schema": schema} for media_type in media_types}


def _reading(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": "OK", "content": _content(schema)}}}


def _changing(summary: str, request: str, answer: str) -> dict[str, Any]:
    refused = {"description": "Nothing was changed", "content": _content(_ref("ErrorBody"))}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": _content(_ref(request))},
        "responses": {
            "200": {"description": "As it is now", "content": _content(_ref(answer))},
            **dict.fromkeys(("400", "401", "404", "409", "503"), refused),
        },
    }


def _operation(
    summary: str,
    request: str,
    answer: str,
    *,
    media_types: Sequence[str] = (_JSON,),
    answered: str = "One output a sample, in order",
    or_else: tuple[str, str] | None = None,
) -> dict[str, Any]:
    asks, answers = (
        _ref(one) if other is None else {"oneOf": [_ref(one), _ref(other)]}
        for one, other in zip((request, answer), or_else or (None, None), strict=True)
    )
    refused = {"description": "Nothing was scored, or changed", "content": _content(_ref("ErrorBody"))}
    return {
        "summary": summary,
        "requestBody": {"required": True, "content": _content(asks, media_types)},
        "responses": {
            "200": {"description": answered, "content": _content(answers, media_types)},
            **dict.fromkeys(("400", "401", "404", "413", "503"), refused),
        },
    }
