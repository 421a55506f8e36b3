from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from rayreward.errors import ConfigError
from rayreward.json_text import MalformedJsonError
from rayreward.rewards import JsonSchemaReward
from rayreward.rewards.json_schema import Extraction, extract_json
from rayreward.types import FailureKind

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "age": {"type": "integer"}, "tags": {"type": "array"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
MILLION = 1_000_000


@pytest.mark.parametrize(
    ("response", "parses", "places", "validates"),
    [
        ('{"name": "Ann", "age": 4}', 1, 1, 1),
        ('<think>{"name": 1}</think>Here:\n```json\n{"name": "Ann", "age": 4}\n```', 1, 1, 1),
        ('{"name": "Ann", "age": "4"}', 1, 2 / 3, 0),
        ('{"name": "Ann"}', 1, 2 / 3, 0),
        ('{"name": "", "age": 4.5, "tags": 1}', 1, 0, 0),
        ('{"name": "Ann", "age": 4, "x": 1}', 1, 3 / 4, 0),
        ("[]", 1, 0, 0),
        ("no JSON", 0, 0, 0),
        ('{"name": "Ann", "age": 4', 0, 0, 0),
        ('{"name": "Ann", "age": 4, "age": 5}', 0, 0, 0),
        ('"\ud800"', 1, 0, 0),
    ],
)
def test_components_and_score(response: str, parses: float, places: float, validates: float) -> None:
    output = JsonSchemaReward(SCHEMA)(response=response)
    shares = {name: metric.score for name, metric in output.metrics.items()}
    assert shares == pytest.approx({"parses": parses, "places": places, "validates": validates})
    assert output.score == validates
    in_parts = JsonSchemaReward(SCHEMA, score="parts")(response=response).score
    assert in_parts == pytest.approx(0.2 * parses + 0.3 * places + 0.5 * validates)


def test_the_reason_names_the_place() -> None:
    output = JsonSchemaReward(SCHEMA)(response='{"name": "Ann", "age": "4"}')
    assert output.reason == '/age: "4" is not of type "integer"'


@pytest.mark.parametrize(
    ("extraction", "text", "value"),
    [
        ("whole", ' {"a": 1} ', {"a": 1}),
        ("fenced", "```\n1\n``` or\n```json\n2\n```", 2),
        ("last_object", 'x {"a": 1} y {"a": {"b": 2}} z', {"a": {"b": 2}}),
        ("auto", '{"a": 1} or {"a": 2}', {"a": 2}),
        ("auto", "so:\n```json\n[1]\n```\nas {x: 1} says", [1]),
        ("auto", "3", 3),
    ],
)
def test_extraction(extraction: Extraction, text: str, value: Any) -> None:
    assert extract_json(text, extraction) == value


@pytest.mark.parametrize(
    ("extraction", "text"),
    [
        ("whole", 'x {"a": 1}'),
        ("fenced", '{"a": 1}'),
        ("last_object", "[1]"),
        ("auto", "none"),
        ("fenced", "```\n{\n```"),
    ],
)
def test_what_is_not_there_is_not_found(extraction: Extraction, text: str) -> None:
    with pytest.raises(MalformedJsonError):
        extract_json(text, extraction)


@pytest.mark.parametrize(
    "fields",
    [
        {"label": SCHEMA},
        {"label": json.dumps(SCHEMA)},
        {"json_schema": SCHEMA},
        {"label": "not asked", "json_schema": json.dumps(SCHEMA)},
        {"json_schema": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    ],
)
def test_a_sample_may_bring_its_schema(fields: dict[str, Any]) -> None:
    reward = JsonSchemaReward()
    assert reward.isolation == "process"
    assert reward(response='{"name": "Ann", "age": 4}', **fields).score == 1.0
    assert reward(response='{"name": "Ann"}', **fields).score == 0.0


NESTED: dict[str, Any] = {}
for _ in range(100):
    NESTED = {"items": NESTED}


@pytest.mark.parametrize(
    "schema",
    [
        None, "", "{", 3, [], {"type": "dict"}, {"$ref": "http://127.0.0.1:9/x.json"}, {"$ref": "file:///etc/hostname"},
        {"pattern": "^(?=a)"}, {"pattern": "("}, {"pattern": "(a{1000}){1000}"}, {"minimum": float("nan")}, {"a": {1}},
        NESTED, {"type": "json_schema"}, "[" * MILLION,
    ],
)  # fmt: skip
def test_what_is_no_schema_scores_nothing(schema: Any) -> None:
    failure = JsonSchemaReward()(response="{}", label=schema).failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_INPUT
    if schema is not None:
        with pytest.raises(ConfigError):
            JsonSchemaReward(schema)


@pytest.mark.parametrize("options", [{"extraction": "best"}, {"score": "half"}, {"weights": {"x": 1}}, {"weights": {}}])
def test_what_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"JsonSchemaReward\("):
        JsonSchemaReward(SCHEMA, **options)


def test_a_patterns_time_is_linear() -> None:
    reward = JsonSchemaReward({"type": "string", "pattern": "^(a+)+$"}, extraction="whole")
    assert reward(response=f'"{"a" * (MILLION - 3)}!"').score == 0.0


def test_formats_are_checked_where_asked() -> None:
    schema = {"type": "string", "format": "date"}
    assert JsonSchemaReward(schema)(response='"x"').score == 1.0
    assert JsonSchemaReward(schema, check_formats=True)(response='"x"').score == 0.0


def test_schemas_that_refer_to_themselves_run_where_they_can_be_killed() -> None:
    assert JsonSchemaReward(SCHEMA).isolation == "inline"
    tree = {"properties": {"next": {"$ref": "#"}}, "required": ["value"]}
    assert JsonSchemaReward(tree).isolation == "process"
    assert JsonSchemaReward(tree)(response='{"value": 1, "next": {}}').score == 0.0


def test_it_travels() -> None:
    reward = JsonSchemaReward(SCHEMA)
    assert pickle.loads(pickle.dumps(reward)).version == reward.version


@pytest.mark.parametrize("part", [" ", "<", "{", '{"a":', "[", "[1,", "```\n", "\ud800", "\x00", '{"age":"x"}'])
def test_a_million_characters_are_no_hang(part: str) -> None:
    assert JsonSchemaReward(SCHEMA)(response=part * (MILLION // len(part))).score == 0.0


def test_a_million_errors_are_not_counted() -> None:
    response = "[" + ",".join(['"x"'] * 200_000) + "]"
    output = JsonSchemaReward({"items": {"type": "integer"}})(response=response)
    assert (output.score, output.metrics["parses"].score) == (0.0, 1.0)


@pytest.mark.parametrize("wrapper", [
    lambda schema: {"type": "json_schema", "json_schema": {"name": "n", "strict": True, "schema": schema}},
    lambda schema: {"type": "json_schema", "name": "n", "schema": schema},
    lambda schema: {"name": "n", "strict": True, "schema": schema},
    lambda schema: {"json_schema": {"schema": schema}},
])  # fmt: skip
def test_a_wrapper_is_no_schema_that_accepts_everything(wrapper: Any) -> None:
    schema = wrapper({"type": "object", "required": ["a"]})
    assert JsonSchemaReward()(response="{}", label=schema).score == 0.0
    assert JsonSchemaReward(schema)(response='{"a": 1}').score == 1.0
