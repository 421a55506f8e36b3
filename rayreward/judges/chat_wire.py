"""OpenAI's chat completions as bytes: a question's body, a reply's reading, and what an error's body says.

What arrives: questions, and payloads of servers that may be anything. What leaves: bodies, `Reply` values, or an error
that says what came instead. Servers differ in what they take: what one refuses by name is left out from then on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rayreward.errors import InvalidInputError, ServiceUnavailableError, shown
from rayreward.judges.endpoint import Question, Reply

TOP_LOGPROBS = 20
"""The most that OpenAI's API and its likes return."""

_ROUNDED_UP, _LEAST_LOGPROB = 0.1, -1e4
"""Log probabilities are 0 at most, but for rounding; others are none. OpenAI says -9999 for what cannot be."""

_MOST_TOKENS = 2**32
"""Of a count that is believed; a wilder one would spend a budget, or overflow a price."""

_TOO_LONG = re.compile(
    r"context[ _-]?length|context window|maximum context|max_model_len|too long|too many tokens|"
    r"exceeds?\b.{0,40}\b(?:tokens|context|length)|longer than",
    re.IGNORECASE,
)

_DROPPABLE: Mapping[str, tuple[str, ...]] = {
    "response_format": ("response_format", "json_schema", "structured output", "guided", "grammar"),
    "logprob_token_ids": ("logprob_token_ids",),
    "max_tokens": ("max_tokens", "max_completion_tokens"),
    "temperature": ("temperature",),
    "seed": ("seed",),
}
"""What a server may refuse, and the words by which its complaint names it. Without `max_tokens` the newer
`max_completion_tokens` is sent; without `logprob_token_ids`, `top_logprobs`."""


@dataclass
class Dialect:
    """What one server is known to take.

    Attributes:
        refused: parameters that it has complained of.
        token_ids: ids of choices, where it takes `logprob_token_ids`; by choices, empty for those that it cannot.
    """

    refused: set[str] = field(default_factory=set)
    token_ids: dict[tuple[str, ...], tuple[int, ...]] = field(default_factory=dict)

    def learn(self, complaint: str, body: Mapping[str, Any]) -> bool:
        """Whether `complaint` names something of `body` that can be left out; it is from now on.

        Example:
            >>> dialect = Dialect()
            >>> dialect.learn("Unsupported parameter: 'seed'", {"seed": 1})
            True
            >>> dialect.learn("Unsupported parameter: 'seed'", {"messages": []})
            False
        """
        folded = complaint.casefold()
        for name, words in _DROPPABLE.items():
            if name in body and name not in self.refused and any(word in folded for word in words):
                self.refused.add(name)
                return True
        return False


def body_of(question: Question, model: str, dialect: Dialect) -> dict[str, Any]:
    """What is posted to ``/chat/completions``."""
    body: dict[str, Any] = {"model": model, "messages": [dict(message) for message in question.messages]}
    body["max_completion_tokens" if "max_tokens" in dialect.refused else "max_tokens"] = question.max_tokens
    if "temperature" not in dialect.refused:
        body["temperature"] = question.temperature
    if question.seed is not None and "seed" not in dialect.refused:
        body["seed"] = question.seed
    if question.json_schema is not None and "response_format" not in dialect.refused:
        schema = {"name": "verdict", "strict": True, "schema": dict(question.json_schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if question.choices:
        body["logprobs"] = True
        ids = dialect.token_ids.get(question.choices)
        if ids and "logprob_token_ids" not in dialect.refused:
            body["logprob_token_ids"] = list(ids)
        else:
            body["top_logprobs"] = TOP_LOGPROBS
    return body


def encode(body: Mapping[str, Any]) -> bytes:
    """JSON in UTF-8.

    Raises:
        InvalidInputError: a text is no valid Unicode, or not JSON's.
    """
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidInputError(f"the sample is no valid Unicode: {error}") from None
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the question cannot be sent as JSON: {error}") from None


def read_reply(content: bytes, *, wants_logprobs: bool) -> Reply:
    """The reply in a chat completion.

    Raises:
        ServiceUnavailableError: it is none, or lacks the log probabilities that were asked for.
    """
    try:
        payload = json.loads(content)
        choice = payload["choices"][0]
        text = _text_of(choice["message"]["content"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise ServiceUnavailableError(f"a body that is no chat completion: {content[:200]!r}") from None
    logprobs = _logprobs_of(choice) if wants_logprobs else {}
    if wants_logprobs and not logprobs:
        raise ServiceUnavailableError(
            "a reply without log probabilities, which this server lacks: judge with verdict='text' or 'json'"
        )
    usage = payload.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    details = usage.get("prompt_tokens_details")
    cached = _count(details, "cached_tokens")
    prompt = _count(usage, "prompt_tokens")
    return Reply(text, logprobs, prompt, min(cached, prompt), _count(usage, "completion_tokens"))


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        content = "".join(str(part.get("text") or "") for part in content)
    if content is None:
        return ""
    if not isinstance(content, str):
        raise TypeError("content is no text")
    # JSON may escape half a character, and what quotes it could be sent nowhere.
    return content.encode("utf-8", "replace").decode("utf-8")


def _logprobs_of(choice: Mapping[str, Any]) -> dict[str, float]:
    """By token text, of the first position; the token that was sampled is one of them."""
    try:
        first = choice["logprobs"]["content"][0]
        listed: Sequence[Any] = [*(first.get("top_logprobs") or ()), first]
    except (KeyError, IndexError, TypeError, AttributeError):
        return {}
    found: dict[str, float] = {}
    for one in listed:
        token, logprob = (one.get("token"), one.get("logprob")) if isinstance(one, dict) else (None, None)
        if isinstance(token, str) and isinstance(logprob, (int, float)) and logprob <= _ROUNDED_UP:  # not NaN, either
            found.setdefault(token, float(max(logprob, _LEAST_LOGPROB)))
    return found


def _count(counts: Any, name: str) -> int:
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_TOKENS else 0


def complaint_of(content: bytes) -> str:
    """What an error's body says, for a message: OpenAI's shape, FastAPI's, or the text itself."""
    try:
        payload = json.loads(content)
    except (ValueError, RecursionError):
        return shown(content.decode("utf-8", "replace").strip()[:200]) if content.strip() else "(an empty body)"
    error = payload.get("error", payload) if isinstance(payload, dict) else payload
    if isinstance(error, dict):
        said = [str(error[name]) for name in ("message", "detail", "code") if error.get(name)]
        return ": ".join(said)[:400] or shown(error)
    return str(error)[:400]


def is_too_long(complaint: str) -> bool:
    """Whether a complaint is of the question's length.

    Example:
        >>> is_too_long("This model's maximum context length is 8192 tokens"), is_too_long("unknown model")
        (True, False)
    """
    return _TOO_LONG.search(complaint) is not None
