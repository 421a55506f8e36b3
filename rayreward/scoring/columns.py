"""Which columns of a data file make a sample.

What arrives: a row, as parsed JSON, and the columns that were asked for. What leaves: the columns that are used, and
the row's sample. What it promises: columns are chosen once a file, from its first row, by the lists below and never
by looking at values; a row that does not fit is an `invalid_input` output, never a guess.

The forms, in the order in which they are tried:

* ``messages``, the last of them the assistant's; beside ``response`` or ``completion`` they are the prompt;
* a prompt column and a response column, each the first of its list; either may hold chat messages;
* ``query``, OpenRLHF's text of prompt and response together, with ``prompt`` or ``prompts``.

The label is the first of its list that is not taken. ``id``, ``group_id``, ``group_size``, ``steps``, ``token_ids`` and
``metadata`` are a sample's own fields; every other column goes into its metadata.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from rayreward.errors import ConfigError, InvalidInputError
from rayreward.messages import as_messages
from rayreward.sample import Sample
from rayreward.trainers.openrlhf import response_of, strip_end_tokens
from rayreward.types import FailureKind, RewardOutput
from rayreward.wire import decode_sample

MESSAGES_KEY = "messages"
QUERY_KEY = "query"
PROMPT_KEYS = ("prompt", "prompts", "question", "problem", "instruction", "query", "input")
RESPONSE_KEYS = ("response", "completion", "output", "generation", "solution", "answer")
LABEL_KEYS = ("label", "labels", "ground_truth", "reference", "target", "answer", "solution")
BESIDE_MESSAGES = ("response", "completion")
"""Names that nothing but a response has; an ``answer`` beside messages is the label."""

OWN_FIELDS = ("group_size", "steps", "token_ids")
TEXT_FIELDS = ("id", "group_id")


@dataclass(frozen=True, slots=True)
class Columns:
    """Where a sample's parts stand in a row; None for what there is not.

    Attributes:
        query: prompt and response as one text, instead of `response`.
    """

    prompt: str | None = None
    response: str | None = None
    messages: str | None = None
    label: str | None = None
    query: str | None = None

    def __str__(self) -> str:
        named = ((name, getattr(self, name)) for name in Columns.__slots__)
        return ", ".join(f"{name}={key}" for name, key in named if key is not None)

    @property
    def taken(self) -> frozenset[str]:
        """The columns that are used."""
        keys = (getattr(self, name) for name in Columns.__slots__)
        return frozenset(key for key in keys if key is not None)


def choose_columns(found: Collection[str], asked: Columns, *, source: str) -> Columns:
    """The columns to use, from those that the first row has and those that were asked for.

    Raises:
        ConfigError: a column asked for is missing, or no response can be found; lists what there is.

    Example:
        >>> str(choose_columns(["question", "solution", "ground_truth"], Columns(), source="data.jsonl"))
        'prompt=question, response=solution, label=ground_truth'
    """
    _check_asked(found, asked, source)
    free = [key for key in found if key not in asked.taken]
    if asked.messages is not None or (MESSAGES_KEY in free and not (asked.prompt or asked.response)):
        key = asked.messages or MESSAGES_KEY
        beside = _first(BESIDE_MESSAGES, free)
        chosen = Columns(messages=key) if beside is None else Columns(prompt=key, response=beside)
    else:
        response = asked.response or _first(RESPONSE_KEYS, free)
        prompt = asked.prompt or _first(PROMPT_KEYS, (key for key in free if key != response))
        chosen = Columns(prompt=prompt, response=response)
        if response is None and QUERY_KEY in free:
            prompt = asked.prompt or _first(("prompt", "prompts"), free)
            chosen = Columns(prompt=prompt, query=QUERY_KEY)
        elif response is None:
            raise ConfigError(
                f"{source}: no column holds a response; found {_listing(found)}; name it with --response-key "
                f"(or --messages-key), or use one of {', '.join(RESPONSE_KEYS)}"
            )
    label = asked.label or _first(LABEL_KEYS, (key for key in free if key not in chosen.taken))
    return Columns(chosen.prompt, chosen.response, chosen.messages, label, chosen.query)


def _check_asked(found: Collection[str], asked: Columns, source: str) -> None:
    for name in Columns.__slots__:
        key = getattr(asked, name)
        if key is not None and key not in found:
            raise ConfigError(f"{source}: --{name}-key {key!r} is no column of its first row; found {_listing(found)}")
    if asked.messages is not None and (asked.prompt is not None or asked.response is not None):
        raise ConfigError("--messages-key holds prompt and response; leave out --prompt-key and --response-key")


def _first(known: Iterable[str], found: Iterable[str]) -> str | None:
    there = set(found)
    return next((key for key in known if key in there), None)


def _listing(found: Iterable[str]) -> str:
    return "the columns " + (", ".join(found) or "(none)")


def read_sample(row: Any, columns: Columns) -> Sample | RewardOutput:
    """The sample of a row, or the `invalid_input` output of one that does not fit."""
    try:
        if not isinstance(row, Mapping):
            raise InvalidInputError(f"a row must be a JSON object, found {type(row).__name__}")
        return decode_sample({**_texts(row, columns), **_fields(row, columns)})
    except InvalidInputError as error:
        return RewardOutput.failed(FailureKind.INVALID_INPUT, str(error))


def _texts(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    if columns.messages is not None:
        chat = as_messages(_value(row, columns.messages))
        if not any(message.role == "assistant" for message in chat):
            raise InvalidInputError(f"column {columns.messages!r} has no message of the assistant to score")
        return {"messages": chat}
    prompt = _value(row, columns.prompt) if columns.prompt is not None else ""
    if columns.query is not None:
        query = _value(row, columns.query)
        if not isinstance(query, str) or not isinstance(prompt, str):
            raise InvalidInputError(f"column {columns.query!r} and its prompt must be text")
        return {"prompt": prompt, "response": strip_end_tokens(response_of(query, prompt))}
    response = _value(row, columns.response or "")
    if columns.response == columns.label and not isinstance(response, str):
        response = msgspec.json.encode(response).decode()  # a label that serves as the response: 4 is answered "4"
    if isinstance(prompt, list) or isinstance(response, list):
        asked = as_messages(prompt) if prompt else ()
        said = as_messages([{"role": "assistant", "content": response}] if isinstance(response, str) else response)
        return {"messages": [*asked, *said]}
    return {"prompt": prompt, "response": response}


def _value(row: Mapping[str, Any], key: str) -> Any:
    if row.get(key) is None:
        state = "is null" if key in row else "is missing"
        raise InvalidInputError(f"column {key!r} {state}; the row has {_listing(row)}")
    return row[key]


def _fields(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    fields: dict[str, Any] = {"label": row.get(columns.label) if columns.label is not None else None}
    fields |= {key: row[key] for key in OWN_FIELDS if row.get(key) is not None}
    fields |= {key: str(row[key]) for key in TEXT_FIELDS if row.get(key) is not None}
    own = row.get("metadata")
    kept = {"metadata", *OWN_FIELDS, *TEXT_FIELDS} if isinstance(own, Mapping) else {*OWN_FIELDS, *TEXT_FIELDS}
    # OpenRLHF's text stays in the metadata: models that were trained on it need it as it came.
    used = columns.taken - {columns.query}
    rest = {key: value for key, value in row.items() if key not in kept and key not in used}
    fields["metadata"] = {**(own if isinstance(own, Mapping) else {}), **rest}
    return fields
