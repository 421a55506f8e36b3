from __future__ import annotations

import pickle
from typing import Any

import pytest

from rayreward import RewardFunction
from rayreward.errors import ConfigError
from rayreward.rewards import FunctionCallingReward
from rayreward.rewards.function_calling import match_function_call
from rayreward.types import FailureKind

LABEL = [{"weather": {"city": ["Rome", "Roma"], "days": [3], "unit": ["celsius", ""]}}]
RIGHT = '[weather(city="rome", days=3)]'
SCHEMA = {"name": "get_weather", "arguments": {"location": {"type": "string"}, "unit": {"type": "string"}}}


@pytest.mark.parametrize(
    ("response", "score", "reason"),
    [
        (RIGHT, 1.0, "as expected"),
        ('[weather(city="Paris", days=3)]', 0.75, "weather: city has another value"),
        ("[weather()]", 0.2, "weather: city is missing; weather: days is missing"),
        ('[forecast(city="Rome", days=3)]', 0.0, "no call of weather; a call of forecast too many"),
        ("It is sunny.", 0.0, "no call found"),
        ("<tool_call>{</tool_call>", 0.0, "what a <tool_call> holds: no JSON"),
        (f"{RIGHT[:-1]}, {RIGHT[1:]}", 0.5, "a call of weather too many"),
    ],
)
def test_score_and_reason(response: str, score: float, reason: str) -> None:
    output = FunctionCallingReward()(response=response, label=LABEL)
    assert output.score == pytest.approx(score)
    assert output.reason is not None
    assert output.reason.startswith(reason)
    assert set(output.metrics) == {"name", "argument_names", "argument_values", "types", "accepted"}
    assert FunctionCallingReward(score="all")(response=response, label=LABEL).score == float(score == 1.0)


def test_no_call_is_right_where_none_is_asked_for() -> None:
    reward = FunctionCallingReward()
    assert reward(response="It is sunny.", label=[]).score == 1.0
    assert reward(response=RIGHT, label=[]).score == 0.0
    assert reward(response="<tool_call>", label=[]).score == 0.0


def test_calls_beside_the_content() -> None:
    asked = [
        {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Roma", "days": 3}'}}
    ]
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": None, "tool_calls": asked}]
    output = FunctionCallingReward()(messages=messages, label=LABEL)
    assert (output.score, output.metadata["format"]) == (1.0, "openai")
    assert FunctionCallingReward("hermes")(messages=messages, label=LABEL).score == 0.0


def test_a_user_who_calls_is_no_answer() -> None:
    assert FunctionCallingReward()(messages=[{"role": "user", "content": RIGHT}], label=LABEL).score == 0.0


def test_tools_say_types_and_what_is_required() -> None:
    tools = [{"name": "f", "parameters": {"properties": {"a": {"type": "float"}}, "required": ["a"]}}]
    reward = FunctionCallingReward()
    assert reward(response="[f(a=1.0)]", label=[{"f": {"a": [1, ""]}}], tools=tools).score == 1.0
    assert reward(response="[f()]", label=[{"f": {"a": [1, ""]}}], tools=tools).score < 1.0
    assert reward(response="[f()]", label=[{"f": {"a": [1, ""]}}]).score == 1.0


def test_the_expected_calls_may_be_metadata() -> None:
    reward = FunctionCallingReward()
    assert reward(response="[f(a=1)]", expected_calls=[{"name": "f", "arguments": {"a": 1}}]).score == 1.0
    assert reward(response='[get_weather(location="x", unit="y")]', expected_call_schema=SCHEMA).score == 1.0
    configured = FunctionCallingReward(expected_call_schema=SCHEMA)
    assert configured(response='[get_weather(location=1, unit="y")]').metrics["types"].score == 0.5


@pytest.mark.parametrize(
    ("label", "metadata"),
    [(None, {}), ("", {}), ("no json", {}), ([3], {}), (LABEL, {"tools": 3}), (LABEL, {"tools": "["})],
)
def test_without_a_label_nothing_is_scored(label: Any, metadata: dict[str, Any]) -> None:
    failure = FunctionCallingReward()(response=RIGHT, label=label, metadata=metadata).failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_INPUT


@pytest.mark.parametrize(
    "options",
    [
        {"format": "xml"}, {"score": "half"}, {"argument_match_strictness": "lax"}, {"weights": {"colour": 1.0}},
        {"weights": {}}, {"weights": {"name": -1.0}}, {"weights": {"name": float("nan")}},
        {"expected_call_schema": {"a": 1}},
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        FunctionCallingReward(**options)


def test_weights_are_the_users() -> None:
    reward = FunctionCallingReward(weights={"name": 1.0, "argument_values": 3.0})
    output = reward(response='[weather(city="Paris", days=3)]', label=LABEL)
    assert output.score == pytest.approx((1 + 3 * 0.5) / 4)
    assert output.metrics["types"].weight == 0.0
    assert pickle.loads(pickle.dumps(reward)).version == reward.version


@pytest.mark.parametrize(
    ("strictness", "name", "arguments", "score"),
    [
        ("exact", "get_weather", {"location": "x", "unit": "c"}, 1.0),
        ("exact", "get_weather", {"location": "x", "unit": "c", "z": 1}, 0.5),
        ("exact", "get_weather", {"location": "x"}, 0.5),
        ("exact", "get_weather", {"location": 1, "unit": "c"}, 0.5),
        ("exact", "other", {"location": "x", "unit": "c"}, 0.5),
        ("permissive", "get_weather", {"location": "x", "unit": "c", "z": 1}, 1.0),
        ("permissive", "get_weather", {"location": "x"}, 0.5),
        ("flexible", "get_weather", {"location": "x"}, 0.75),
        ("flexible", "get_weather", {"location": "x", "unit": 1}, 0.75),
        ("flexible", "get_weather", {"location": "x", "unit": "c", "y": 1, "z": 1}, 0.75),
    ],
)
def test_the_seeds_function(strictness: str, name: str, arguments: dict[str, Any], score: float) -> None:
    reward = RewardFunction(
        func=match_function_call, mode="local", expected_call_schema=SCHEMA, argument_match_strictness=strictness
    )
    output = reward(
        messages=[{"role": "user", "content": "?"}],
        original_messages=[],
        parsed_arguments=arguments,
        function_name=name,
    )
    assert output.score == pytest.approx(score)
    assert set(output.metrics) == {"function_name_match", "arguments_match"}


def test_the_seeds_function_reads_the_message_itself() -> None:
    reward = RewardFunction(func=match_function_call, expected_call_schema=SCHEMA)
    assert reward(response='[get_weather(location="x", unit="c")]').score == 1.0
    assert reward(response="no call").score == 0.0


@pytest.mark.parametrize(
    "fields", [{"expected_call_schema": 3}, {}, {"expected_call_schema": SCHEMA, "parsed_arguments": [1]}]
)
def test_the_seeds_function_without_a_schema_scores_nothing(fields: dict[str, Any]) -> None:
    failure = RewardFunction(func=match_function_call)(response="x", function_name="f", **fields).failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_INPUT


@pytest.mark.parametrize(
    ("given", "schema", "accepted", "score"),
    [
        ("5", {"type": "integer"}, [5], 1.0),
        ("5", {"type": "string"}, ["5"], 1.0),
        ("5", {"type": "string"}, [5], 0.0),
        ("5", {}, [5], 1.0),
        ("5", {}, ["5"], 1.0),
        ("five", {"type": "integer"}, [5], 0.0),
        ("True", {"type": "boolean"}, [True], 1.0),
        ('["x", 1]', {"type": "array"}, [["x", 1]], 1.0),
        ("null", {"type": "string"}, ["", None], 1.0),
        ("null", {"type": "string"}, ["null"], 1.0),
    ],
)
def test_a_text_between_tags_is_read_by_its_parameters_type(
    given: str, schema: dict[str, Any], accepted: list[Any], score: float
) -> None:
    response = f"<tool_call>\n<function=f>\n<parameter=a>\n{given}\n</parameter>\n</function>\n</tool_call>"
    tools = [{"name": "f", "parameters": {"properties": {"a": schema}}}]
    output = FunctionCallingReward(score="all")(response=response, label=[{"f": {"a": accepted}}], tools=tools)
    assert output.score == score


RIGHT, WRONG = (f'{{"name": "f", "arguments": {{"a": {value}}}}}' for value in (1, 2))


@pytest.mark.parametrize(
    ("response", "score"),
    [
        (f"I call {RIGHT}.", 1.0),
        (f"I call {RIGHT} or {WRONG}.", 0.0),
        (f"{WRONG}\n{RIGHT}", 0.0),
        (f"<tool_call>{WRONG}</tool_call> {RIGHT}", 0.0),
        (f"```json\n{WRONG}\n```\n```json\n{RIGHT}\n```", 0.0),
        ('<function=f>{"a": 1}</function><function=f>{"a": 2}</function>', 0.0),
        ("<function=f><parameter=a>1 or 2</parameter></function>", 0.0),
        ("```python\nf(a=1)\n```\n```python\nf(a=2)\n```", 0.0),
        ("```python\n# a call\nf(a=1)\n```", 1.0),
        ("f(a=1); f(a=2)", 0.0),
        ("f(a=1) or f(a=2)", 0.0),
        ("if True: f(a=1)", 0.0),
    ],
)
def test_who_answers_twice_has_called_twice(response: str, score: float) -> None:
    assert FunctionCallingReward(score="all")(response=response, label=[{"f": {"a": [1]}}]).score == score
