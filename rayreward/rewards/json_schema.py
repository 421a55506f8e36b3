"""Responses that are JSON of a given schema."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from rayreward.errors import ConfigError, InvalidInputError, shown
from rayreward.function import Isolation, RewardFunction
from rayreward.json_text import MAX_DEPTH, MalformedJsonError, fenced_blocks, is_deeper, last_object, load_json
from rayreward.loading import require_extra
from rayreward.sample import Trajectory
from rayreward.toolcalls.detect import without_thoughts
from rayreward.types import MetricRewardOutput, RewardOutput

Extraction = Literal["auto", "whole", "fenced", "last_object"]

_WEIGHTS = {"parses": 0.2, "places": 0.3, "validates": 0.5}

_MAX_NODES = 1_000
"""Values in a response up to which all errors are listed: each costs 65 us, and the library makes all or one."""

_SHOWN_ERRORS = 3

_WRAPPED = frozenset({"json_schema", "schema"})
_WRAPPER = _WRAPPED | {"type", "name", "description", "strict"}
"""Keys of OpenAI's response formats around the one that holds the schema."""

_COMPILED = 512
"""Schemas kept ready by their text; each takes some ten kilobytes and 20 us to make again."""


class Verdict(NamedTuple):
    """What a validator found: the errors shown, and of the value's places the share without any."""

    errors: tuple[str, ...]
    right_share: float


class JsonSchemaReward(RewardFunction):
    """Whether a response is JSON that a schema accepts. Range [0, 1].

    The schema is the argument, metadata's ``json_schema``, or the label: an object, its JSON text, or OpenAI's
    ``{"type": "json_schema", "json_schema": {"schema": …}}`` and ``{"name": …, "schema": …}``. Validated by
    jsonschema-rs (draft by ``$schema``, 2020-12 without one), its compiled form is kept. Patterns run on an engine that
    is linear in the text, which knows no look-around and no backreferences: a schema with those is refused. References
    are never fetched.

    Components: parses (1 or 0), validates (1 or 0), places: of the value's fields (those in the schema, required or
    given; for an array its items) the share in which nothing is wrong, 0 for an invalid value of more than 1,000 parts.
    JSON that gives a key twice, holds NaN, or goes deeper than 64 levels does not parse. 8 to 15 us a sample of 300
    characters, a million take up to a second.

    What games it: the least that the schema allows; ``{}`` where nothing is required. Ask for the fields that you want,
    with ``additionalProperties: false``, and score their content by another reward.

    Args:
        schema: for all samples; without it each brings its own, and then it runs in a process that can be killed, as it
            does where the schema refers to itself: such schemas can take for ever.
        extraction: "whole": the response is JSON and nothing else. "fenced": the last block between triple backquotes.
            "last_object": the last object in the text. "auto": the first of these that parses. Thoughts are left out.
        score: "all" for 1 where it validates, else 0; "parts" for the weighted mean of the components.
        weights: of the components, with "parts".
        check_formats: whether ``format`` (date, email, …) is checked, or says nothing, as in the standard.

    Raises:
        ConfigError: jsonschema-rs is not installed, the schema is none, or an option is unknown.

    Raises (as failures of the sample):
        invalid_input: no schema, or one that is none.

    Example:
        >>> schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
        >>> JsonSchemaReward(schema)(response='So: {"age": "4"}').reason
        '/age: "4" is not of type "integer"'
    """

    isolation: Isolation = "process"
    deterministic = True
    name = "json_schema"

    def __init__(
        self,
        schema: Mapping[str, Any] | str | None = None,
        *,
        extraction: Extraction = "auto",
        score: Literal["all", "parts"] = "all",
        weights: Mapping[str, float] | None = None,
        check_formats: bool = False,
    ) -> None:
        require_extra("jsonschema_rs", "verifiers", asked_by="json_schema")
        if extraction not in get_args(Extraction):
            raise ConfigError(
                f"JsonSchemaReward(extraction={extraction!r}): known are {', '.join(get_args(Extraction))}"
            )
        if score not in ("all", "parts"):
            raise ConfigError(f"JsonSchemaReward(score={score!r}): known are 'all' and 'parts'")
        self.weights = dict(_WEIGHTS if weights is None else weights)
        if (
            self.weights.keys() - _WEIGHTS.keys()
            or not sum(self.weights.values()) > 0
            or min(self.weights.values()) < 0
        ):
            raise ConfigError(f"JsonSchemaReward(weights={weights!r}): weights from 0 up for {', '.join(_WEIGHTS)}")
        self.extraction, self.score_by, self.check_formats = extraction, score, check_formats
        self.schema_text: str | None = None
        if schema is not None:
            try:
                self.schema_text = _text_of(schema)
                compile_schema(self.schema_text, check_formats)
            except InvalidInputError as error:
                raise ConfigError(str(error)) from None
            self.isolation = "process" if "Ref" in self.schema_text or "$ref" in self.schema_text else "inline"

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The score, and what is wrong."""
        schema = self.schema_text if self.schema_text is not None else _text_of(_schema_of(trajectory))
        validator = compile_schema(schema, self.check_formats)
        try:
            value = extract_json(without_thoughts(trajectory.response), self.extraction)
        except MalformedJsonError as error:
            return self._output(0.0, Verdict((str(error),), 0.0))
        return self._output(1.0, _validate(validator, value, schema))

    def _output(self, parses: float, verdict: Verdict) -> RewardOutput:
        validates = float(not verdict.errors)
        shares = {"parses": parses, "places": verdict.right_share, "validates": validates}
        metrics = {
            name: MetricRewardOutput(share, weight=self.weights.get(name, 0.0)) for name, share in shares.items()
        }
        score = validates
        if self.score_by == "parts":
            score = sum(self.weights[name] * shares[name] for name in self.weights) / sum(self.weights.values())
        return RewardOutput(score, metrics, reason="; ".join(verdict.errors[:_SHOWN_ERRORS]) or "validates")


def extract_json(text: str, extraction: Extraction = "auto") -> Any:
    """The JSON value of a response.

    Raises:
        MalformedJsonError: there is none where it was looked for.

    Example:
        >>> extract_json('it is {"a": 1}.')
        {'a': 1}
    """
    if extraction == "whole":
        return load_json(text)
    if extraction == "fenced":
        *_, last = [None, *fenced_blocks(text)]
        if last is None:
            raise MalformedJsonError("no block between triple backquotes found")
        return load_json(last.text)
    if extraction == "last_object":
        return last_object(text)
    for way in ("whole", "fenced"):
        try:
            return extract_json(text, "whole" if way == "whole" else "fenced")
        except MalformedJsonError:
            continue  # the next way may find it
    return last_object(text)


@functools.lru_cache(maxsize=_COMPILED)
def compile_schema(text: str, check_formats: bool) -> Any:
    """A validator for a schema's JSON text.

    Raises:
        InvalidInputError: it is no schema, or needs what is never done here: fetching, backtracking.
    """
    import jsonschema_rs

    try:
        return jsonschema_rs.validator_for(
            load_json(text),
            pattern_options=jsonschema_rs.RegexOptions(),
            validate_formats=check_formats,
            retriever=_refuse_to_fetch,
        )
    except (ValueError, TypeError, RecursionError) as error:
        first_line = str(error).partition("\n")[0]
        hint = " (patterns have no look-around and no backreferences here)" if "regex" in first_line else ""
        raise InvalidInputError(f"no JSON schema that can be used: {first_line:.200}{hint}") from None


def _refuse_to_fetch(uri: str) -> Any:
    raise ValueError(f"references are not fetched: {uri:.100}")


def _schema_of(trajectory: Trajectory) -> Any:
    for schema in (trajectory.metadata.get("json_schema"), trajectory.label):
        if schema is not None:
            return schema
    raise InvalidInputError("json_schema needs a schema: the argument, metadata's json_schema or the label; found none")


def _text_of(schema: Any) -> str:
    """A schema as JSON text: what it is compiled and kept by."""
    if isinstance(schema, str):
        try:
            schema = load_json(schema)
        except MalformedJsonError as error:
            raise InvalidInputError(f"a JSON schema must be an object or its JSON text: {error}") from None
    schema = _unwrapped(schema)
    if not isinstance(schema, (Mapping, bool)) or is_deeper(schema, MAX_DEPTH):
        raise InvalidInputError(f"a JSON schema must be an object of at most {MAX_DEPTH} levels, found {shown(schema)}")
    try:
        return json.dumps(schema, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"a JSON schema must hold what JSON can say: {error}") from None


def _unwrapped(schema: Any) -> Any:
    """The schema inside of OpenAI's response formats; taken for a schema, a wrapper would accept everything."""
    for _ in range(2):
        is_wrapper = isinstance(schema, Mapping) and schema.keys() <= _WRAPPER and schema.keys() & _WRAPPED
        if not is_wrapper and not (isinstance(schema, Mapping) and schema.get("type") == "json_schema"):
            break
        schema = schema.get("json_schema", schema.get("schema"))
    return schema


def _validate(validator: Any, value: Any, schema: str) -> Verdict:
    try:
        if validator.is_valid(value):
            return Verdict((), 1.0)
        if _holds_more_than(_MAX_NODES, value):
            return Verdict((_first_error(validator, value),), 0.0)
        errors = list(validator.iter_errors(value))
    except (ValueError, TypeError) as error:  # a lone surrogate, say
        return Verdict((f"not JSON that can be validated: {str(error)[:100]}",), 0.0)
    places = {_place_of(error) for error in errors}
    count = max(_places_in(value, json.loads(schema)), len(places), 1)
    named = tuple(
        f"/{'/'.join(map(str, error.instance_path))}: {error.message:.200}" for error in errors[:_SHOWN_ERRORS]
    )
    return Verdict(named, 1.0 - len(places) / count)


def _first_error(validator: Any, value: Any) -> str:
    try:
        validator.validate(value)
    except ValueError as error:
        return str(getattr(error, "message", error))[:200]
    return "does not validate"


def _holds_more_than(limit: int, value: Any) -> bool:
    """Whether a value has more parts than `limit`, its own among them."""
    count, level = 0, [value]
    while level and count <= limit:
        count += len(level)
        inner = (one.values() if isinstance(one, dict) else one for one in level if isinstance(one, (dict, list)))
        level = list(itertools.islice(itertools.chain.from_iterable(inner), limit + 1))
    return count > limit


def _place_of(error: Any) -> str:
    """The top-level field or item in which an error lies; of the value as a whole, the error itself."""
    return str(error.instance_path[0]) if error.instance_path else error.message[:200]


def _places_in(value: Any, schema: Any) -> int:
    if isinstance(value, dict):
        known = schema if isinstance(schema, dict) else {}
        named = [known[key] for key in ("properties", "required") if isinstance(known.get(key), (dict, list))]
        return len({*value, *(str(name) for names in named for name in names)})
    return len(value) if isinstance(value, list) else 1
