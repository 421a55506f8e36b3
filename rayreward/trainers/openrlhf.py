"""OpenRLHF's remote-reward protocol, for every version from 0.8 on.

What arrives: the body of ``POST /get_reward``: ``{"query": [prompt + response, …], "prompts": […], "labels": […]}``.
What leaves: samples, and the body of the answer: ``{"rewards": […], "scores": […], "extra_logs": {…}}``, flat lists
in the order of the queries. From 0.9.1 on each request holds one query; 0.8 sends a whole batch, and versions up to
0.11.0 send empty requests too, which are answered with empty lists.

Facts read in OpenRLHF's ``utils/agent.py`` and ``remote_rm_utils.py`` and seen on the wire of 0.11.2.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from rayreward.errors import InvalidInputError, InvalidOutputError
from rayreward.outcome import FILTER_SCORE
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput, finite_score
from rayreward.wire import decode_json, refuse_deep_nesting, refuse_surrogates

_TAIL_CHARS = (64, 4)
"""Characters of a prompt's end that are looked up in its query to find where the response begins: many are rare, few
are found after any truncation."""

_MAX_PLACES = 256
"""Places tried for that end; a text that repeats itself more often would take time squared."""

END_TOKENS = (
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<end_of_turn>",
    "<|end|>",
)
"""Trailing special tokens that are no part of what the model said. OpenRLHF decodes with them kept."""


class RewardRequest(NamedTuple):
    """One request: a sample, or the failure of a malformed one, a query."""

    items: list[Sample | RewardOutput]
    prompts: list[str]


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """The request as every OpenRLHF sends it; whatever else is in one is for the slow way to judge."""

    query: list[str]
    prompts: list[str] | None = None
    labels: list[Any] | None = None


_BODY = msgspec.json.Decoder(_Body)


def decode_request(body: bytes) -> RewardRequest:
    """The samples of a request.

    Raises:
        InvalidInputError: not JSON, no list of queries, or lists of different lengths.
    """
    try:
        typed = _BODY.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode_any_request(body)
    count = len(typed.query)
    prompts = [""] * count if typed.prompts is None else typed.prompts
    labels = [None] * count if typed.labels is None else typed.labels
    if len(prompts) != count or len(labels) != count:
        return decode_any_request(body)
    items = [_read_item(*fields) for fields in zip(typed.query, prompts, labels, strict=True)]
    return RewardRequest(items, prompts)


def decode_any_request(body: bytes) -> RewardRequest:
    """`decode_request` without assumptions: a malformed query fails alone, and a refusal says what is wrong.

    Raises:
        InvalidInputError: not JSON, no list of queries, or lists of different lengths.
    """
    data = decode_json(body)
    if not isinstance(data, dict) or not isinstance(data.get("query"), list):
        raise InvalidInputError(
            "the body must be {'query': [text, ...], 'prompts': [...], 'labels': [...]}, "
            + (f"found the keys {sorted(map(str, data))}" if isinstance(data, dict) else f"found {type(data).__name__}")
        )
    queries = data["query"]
    prompts = _column(data, "prompts", len(queries))
    labels = _column(data, "labels", len(queries))
    items = [_item(*fields) for fields in zip(queries, prompts, labels, strict=True)]
    return RewardRequest(items, [prompt if isinstance(prompt, str) else "" for prompt in prompts])


def _column(data: dict[str, Any], key: str, count: int) -> list[Any]:
    values = data.get(key)
    if values is None:
        return [None] * count
    if not isinstance(values, list) or len(values) != count:
        found = f"{len(values)} values" if isinstance(values, list) else type(values).__name__
        raise InvalidInputError(f"'query' and {key!r} must be lists of one length: {count} queries, found {found}")
    return values


def _item(query: Any, prompt: Any, label: Any) -> Sample | RewardOutput:
    if not isinstance(query, str) or not isinstance(prompt, str | None):
        kind = type(query).__name__ if not isinstance(query, str) else type(prompt).__name__
        return RewardOutput.failed(FailureKind.INVALID_INPUT, f"a query and its prompt must be text, found {kind}")
    try:
        return sample_of(query, prompt or "", label)
    except InvalidInputError as error:
        return RewardOutput.failed(FailureKind.INVALID_INPUT, str(error))


def _read_item(query: str, prompt: str, label: Any) -> Sample | RewardOutput:
    """`_item` of texts that were read with their type, and so are valid Unicode."""
    try:
        if isinstance(label, (list, dict)):
            refuse_deep_nesting([label])
    except InvalidInputError as error:
        return RewardOutput.failed(FailureKind.INVALID_INPUT, str(error))
    return _sample(query, prompt, label, None, None)


def sample_of(
    query: str, prompt: str, label: Any, *, group_id: str | None = None, group_size: int | None = None
) -> Sample:
    """The sample that OpenRLHF means by a query: its prompt and response as one text, special tokens included.

    Raises:
        InvalidInputError: a text is no valid Unicode, or the label is nested too deeply to travel.

    Example:
        >>> sample_of("2 + 2? 4<|im_end|>", "2 + 2? ", "4").response
        '4'
    """
    refuse_surrogates(query)
    refuse_surrogates(prompt)
    refuse_deep_nesting([label])
    return _sample(query, prompt, label, group_id, group_size)


def _sample(query: str, prompt: str, label: Any, group_id: str | None, group_size: int | None) -> Sample:
    return Sample.checked(
        prompt,
        strip_end_tokens(response_of(query, prompt)),
        None if label == "" else label,
        # The text as it came: models that were trained on it need every special token where it was.
        {"query": query},
        group_id=group_id,
        group_size=group_size,
    )


def response_of(query: str, prompt: str) -> str:
    """The response in a query: what follows the prompt, or the part of it that truncation at the left has kept.

    Example:
        >>> response_of("2 + 2? 4", "2 + 2? ")
        '4'
    """
    if query.startswith(prompt):
        return query[len(prompt) :]
    for size in _TAIL_CHARS:
        tail, end = prompt[-size:], len(query)
        for _ in range(_MAX_PLACES):
            start = query.rfind(tail, 0, end)
            if start < 0:
                break
            if prompt.endswith(query[: start + len(tail)]):
                return query[start + len(tail) :]
            end = start + len(tail) - 1
    return query


def strip_end_tokens(text: str) -> str:
    r"""`text` without the special tokens and white space that end it.

    Example:
        >>> strip_end_tokens("42<|im_end|>\n")
        '42'
    """
    stripped = text.rstrip()
    if not stripped.endswith(END_TOKENS):  # as mostly
        return text
    while (token := next((token for token in END_TOKENS if stripped.endswith(token)), None)) is not None:
        stripped = stripped[: -len(token)].rstrip()
    return stripped


class TrainerAnswer(NamedTuple):
    """What OpenRLHF is told of one sample. A tuple, for one is made for every sample.

    Attributes:
        reward: finite, always; what advantages are computed from.
        filter_score: what dynamic filtering sees; NaN makes it replace the whole group.
        is_valid: whether the reward was scored rather than put in a failure's place.
    """

    reward: float
    filter_score: float
    is_valid: bool

    @classmethod
    def scored(cls, output: RewardOutput, score: float) -> TrainerAnswer:
        """For a sample with a score; a filter score that is no finite number is not the trainer's business."""
        if FILTER_SCORE not in output.metadata:
            return cls(score, score, True)
        try:
            return cls(score, finite_score(output.metadata[FILTER_SCORE]), True)
        except InvalidOutputError:
            return cls(score, score, True)

    @classmethod
    def filled(cls, number: float, *, drop: bool) -> TrainerAnswer:
        """For a sample without one."""
        return cls(number, math.nan if drop else number, False)


def encode_answer(answers: Sequence[TrainerAnswer]) -> bytes:
    """The body of the answer.

    `extra_logs` has the same keys in every answer to one query, as OpenRLHF needs to stack them, and is empty for
    other sizes: 0.8 takes no lists there.
    """
    if len(answers) == 1:
        [answer] = answers
        reward, score = float.__repr__(answer.reward), float.__repr__(answer.filter_score)
        valid = "1.0" if answer.is_valid else "0.0"
        # By hand, for this is most of the traffic. NaN as the standard library's encoder writes it.
        score = "NaN" if math.isnan(answer.filter_score) else score
        return f'{{"rewards": [{reward}], "scores": [{score}], "extra_logs": {{"reward_valid": [{valid}]}}}}'.encode()
    body = {
        "rewards": [answer.reward for answer in answers],
        "scores": [answer.filter_score for answer in answers],
        "extra_logs": {},
    }
    # The standard library's encoder, for its NaN: OpenRLHF's own JSON reader takes it, and `null` would be read as
    # "use the reward", which is not what `drop` means.
    return json.dumps(body).encode()
