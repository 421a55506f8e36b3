"""Responses that call the right tools with the right arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from rayreward.errors import ConfigError, InvalidInputError, shown
from rayreward.function import Isolation, RewardFunction
from rayreward.messages import Message
from rayreward.sample import Trajectory
from rayreward.toolcalls.call import Format, ToolCall
from rayreward.toolcalls.compare import PARTS, Comparison, Strictness, compare_calls, typed_call
from rayreward.toolcalls.detect import ParsedCalls, parse_calls
from rayreward.toolcalls.expected import ExpectedCall, read_call_schema, read_expected
from rayreward.toolcalls.tools import Tool, read_tools
from rayreward.toolcalls.values import fits_type
from rayreward.types import MetricRewardOutput, RewardOutput

_FORMATS = ("auto", *get_args(Format))

_WEIGHTS = {"name": 0.2, "argument_names": 0.2, "argument_values": 0.5, "types": 0.1}
"""The values are the point of a call, and the hardest part to guess."""


class FunctionCallingReward(RewardFunction):
    """The tool calls of a response, beside those that the label asks for. Range [0, 1]; 1 is BFCL's "valid".

    The label is BFCL's ground truth (``[{"f": {"a": [accepted, …]}}]``, ``""`` among them for an optional argument),
    plain calls (``[{"name": "f", "arguments": {"a": 1}}]``), or either as JSON text; ``[]`` asks for no call at all.
    Without a label it is metadata's ``expected_calls``, or the types of an ``expected_call_schema``. Values compare as
    in the Berkeley Function-Calling Leaderboard (see `rayreward.toolcalls.values`), parallel calls in any order. Where
    metadata holds ``tools`` (OpenAI's or BFCL's shape), what they require must be there and types are theirs.

    The calls are OpenAI's ``tool_calls``, Hermes/Qwen tags, function tags (Llama 3.1's, Qwen3-coder's, whose arguments
    are texts that the types of their parameters read), Llama 3's, Mistral's or DeepSeek's form, Python's, or JSON in a
    fence or in prose; what stands in a thought is no call. A response that cannot be read, also one that gives an
    argument twice, scores 0 with a reason. Components: name, argument_names, argument_values, types (shares over the
    larger number of calls, expected or given; another tool's name earns nothing), and accepted. About 0.1 ms a sample
    (BFCL's, with tools).

    What games it: partial credit pays for the right tool with no or with guessed arguments; ``score="all"`` does not.
    BFCL's texts ignore signs and separators: "-5" is "5" and "1.5" is "15" where the argument is a text; set
    ``exact_texts=True`` where that matters.

    Args:
        format: how calls are written; "auto" takes the first form that the response shows.
        score: "parts" for the weighted mean of the components, "all" for 1 where everything is accepted, else 0.
        weights: of the components in the mean; those left out weigh nothing.
        argument_match_strictness: "exact"; "permissive": further arguments do not matter; "flexible": they cost their
            share, and a value that says the same in another type ("5" for 5) counts.
        expected_call_schema: ``{"name", "arguments": {name: {"type": …}}}`` for every sample: types, not values.
        exact_texts: compare texts character by character.

    Raises:
        ConfigError: an unknown format, score or strictness, weights that do not fit, or no call schema.

    Example:
        >>> label = [{"weather": {"city": ["Rome", "Roma"], "unit": ["celsius", ""]}}]
        >>> FunctionCallingReward()(response='[weather(city="rome")]', label=label).score
        1.0
    """

    isolation: Isolation = "inline"
    deterministic = True
    name = "function_calling"

    def __init__(
        self,
        format: Format | Literal["auto"] = "auto",
        *,
        score: Literal["parts", "all"] = "parts",
        weights: Mapping[str, float] | None = None,
        argument_match_strictness: Strictness = "exact",
        expected_call_schema: Mapping[str, Any] | None = None,
        exact_texts: bool = False,
    ) -> None:
        if format not in _FORMATS:
            raise ConfigError(f"FunctionCallingReward(format={format!r}): known are {', '.join(_FORMATS)}")
        if score not in ("parts", "all"):
            raise ConfigError(f"FunctionCallingReward(score={score!r}): known are 'parts' and 'all'")
        self.format, self.score_by, self.exact_texts = format, score, exact_texts
        self.argument_match_strictness = _checked_strictness(argument_match_strictness)
        self.weights = _checked_weights(_WEIGHTS if weights is None else weights)
        self.expected_call_schema = expected_call_schema
        if expected_call_schema is not None:
            try:
                read_call_schema(expected_call_schema)
            except InvalidInputError as error:
                raise ConfigError(str(error)) from None

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The score, and of each part the share that is right."""
        expected = self._expected(trajectory)
        parsed = parse_calls(trajectory.messages[-1] if _is_answered(trajectory) else "", self.format)
        if parsed.problem is not None or (not parsed.calls and expected):
            return self._output(Comparison(0.0, 0.0, 0.0, 0.0, False), parsed, parsed.problem or "no call found")
        compared = compare_calls(
            parsed.calls,
            expected,
            read_tools(trajectory.metadata.get("tools")),
            strictness=self.argument_match_strictness,
            exact_texts=self.exact_texts,
        )
        return self._output(compared, parsed, "; ".join(compared.problems) or "as expected")

    def _expected(self, trajectory: Trajectory) -> list[ExpectedCall]:
        if trajectory.label is not None:
            return read_expected(trajectory.label)
        if trajectory.metadata.get("expected_calls") is not None:
            return read_expected(trajectory.metadata["expected_calls"])
        schema = trajectory.metadata.get("expected_call_schema", self.expected_call_schema)
        if schema is None:
            raise InvalidInputError(
                "function_calling needs a label with the expected calls ([] where none is right), or metadata with "
                "expected_calls or expected_call_schema; found none"
            )
        return [read_call_schema(schema)]

    def _output(self, compared: Comparison, parsed: ParsedCalls, reason: str) -> RewardOutput:
        shares = {part: getattr(compared, part) for part in PARTS}
        metrics = {part: MetricRewardOutput(share, weight=self.weights[part]) for part, share in shares.items()}
        metrics["accepted"] = MetricRewardOutput(float(compared.is_accepted), weight=0.0)
        score = float(compared.is_accepted)
        if self.score_by == "parts":
            score = sum(self.weights[part] * share for part, share in shares.items()) / sum(self.weights.values())
        metadata = {"format": parsed.format, "calls": len(parsed.calls)}
        return RewardOutput(score, metrics, reason=reason, metadata=metadata)


def match_function_call(
    function_name: str | None = None,
    parsed_arguments: Mapping[str, Any] | None = None,
    expected_call_schema: Mapping[str, Any] | None = None,
    argument_match_strictness: Strictness = "exact",
    messages: Sequence[Message] = (),
) -> RewardOutput:
    """One parsed call beside a schema of names and types; the mean of name (1 or 0) and arguments. Range [0, 1].

    Values are not compared: for those see `FunctionCallingReward`. Arguments score 1 where they are all there, each of
    its type, and ("exact") no other; "permissive" lets others be; "flexible" pays the share that is right. What games
    it: half is paid for the arguments of another function. Without a name the last message's only call is taken.

    Raises (as failures of the sample):
        invalid_input: no schema, one of another shape, or arguments that are no object.

    Example:
        >>> schema = {"name": "weather", "arguments": {"city": {"type": "string"}}}
        >>> reward = RewardFunction(func=match_function_call, expected_call_schema=schema)
        >>> reward(messages=[], function_name="weather", parsed_arguments={"city": 5}).score
        0.5
    """
    strictness = _checked_strictness(argument_match_strictness)
    if expected_call_schema is None:
        raise InvalidInputError("match_function_call needs an expected_call_schema, found none")
    expected = read_call_schema(expected_call_schema)
    if parsed_arguments is not None and not isinstance(parsed_arguments, Mapping):
        raise InvalidInputError(f"parsed_arguments must be an object, found {shown(parsed_arguments)}")
    call = ToolCall(function_name or "", parsed_arguments or {})
    if function_name is None:
        parsed = parse_calls(messages[-1]) if messages else ParsedCalls()
        call = typed_call(parsed.calls[0], expected, Tool()) if len(parsed.calls) == 1 else call
    is_named = call.name == expected.name
    arguments, reason = _match_arguments(call, expected, strictness)
    named = "the name is right" if is_named else f"found the name {call.name:.60}, expected {expected.name:.60}"
    metrics = {
        "function_name_match": MetricRewardOutput(float(is_named), named, weight=0.5),
        "arguments_match": MetricRewardOutput(arguments, reason, weight=0.5),
    }
    return RewardOutput((float(is_named) + arguments) / 2, metrics, reason=f"{named}; {reason}")


def _match_arguments(call: ToolCall, expected: ExpectedCall, strictness: Strictness) -> tuple[float, str]:
    given, wanted = call.arguments.keys(), expected.arguments.keys()
    of_type = {
        name for name in given & wanted if fits_type(call.arguments[name], expected.arguments[name].schema or {})
    }
    missing, surplus = wanted - given, given - wanted
    notes = [
        f"{what}: {', '.join(f'{name:.60}' for name in sorted(names))}"
        for what, names in (("missing", missing), ("of another type", given & wanted - of_type), ("surplus", surplus))
        if names
    ]
    if strictness == "flexible":
        share = len(of_type) / len(given | wanted) if given | wanted else 1.0
    else:
        share = float(of_type == wanted and (strictness == "permissive" or not surplus))
    return share, "; ".join(notes) or "the arguments are right"


def _is_answered(trajectory: Trajectory) -> bool:
    return bool(trajectory.messages) and trajectory.messages[-1].role == "assistant"


def _checked_strictness(strictness: Strictness) -> Strictness:
    if strictness not in get_args(Strictness):
        raise ConfigError(
            f"argument_match_strictness={strictness!r}: known are {', '.join(map(repr, get_args(Strictness)))}"
        )
    return strictness


def _checked_weights(weights: Mapping[str, float]) -> dict[str, float]:
    unknown = sorted(set(weights) - set(PARTS))
    if unknown:
        raise ConfigError(
            f"FunctionCallingReward(weights=…): no component is called {unknown[0]!r}; {', '.join(PARTS)}"
        )
    checked = {part: float(weights.get(part, 0.0)) for part in PARTS}
    if not all(math.isfinite(weight) and weight >= 0 for weight in checked.values()) or not sum(checked.values()):
        raise ConfigError(f"FunctionCallingReward(weights={dict(weights)!r}): numbers from 0 up, and one above it")
    return checked
