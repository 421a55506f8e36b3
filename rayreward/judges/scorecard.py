"""A list of candidates that a judge scores in one reply: the question, and what is read out of the reply.

What arrives: what a group shares, and its candidates in the order in which they are shown. What leaves: a question that
shows all of them under letters, and from the reply a score in [0, 1] for each letter that has exactly one.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayreward.json_text import MalformedJsonError, objects
from rayreward.judges.endpoint import Question
from rayreward.judges.guard import INSTRUCTION, Fenced, fence
from rayreward.judges.verdicts import UnparseableError, is_key
from rayreward.thinking import split_thinking

CRITERIA = (
    "A better response is nearer to what was asked, correct, and clear. One that reaches the goal scores well above "
    "one that does not; of two that reach it the more direct one scores somewhat higher. Length is no merit of its own."
)

TASK = """You score candidates that answer the same conversation, all at once, each from 0 (worthless) to 1 (cannot be
better). Compare them with each other: a better one gets a higher score, equals get the same, and a small difference in
merit is a small difference in score. Small differences between good ones matter as much as failures do."""

ASK = """Reply with one JSON object and nothing else, one entry for each of the candidates {letters}:
{{"scores": [{{"candidate": "A", "explanation": "one sentence", "score": 0.5}}, ...]}}"""

MAX_CANDIDATES = 26
"""Letters that there are."""

_TOKENS_EACH, _TOKENS_MORE = 160, 512
"""Of a reply: an explanation's sentence, and what a judge says around it."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a judge gives one candidate: a score in [0, 1], and why."""

    score: float
    explanation: str | None = None


@dataclass(frozen=True, slots=True)
class ListBlocks:
    """What one question shows: the conversation, and its candidates under their letters."""

    conversation: Fenced
    candidates: tuple[Fenced, ...]

    @classmethod
    def of(cls, shared: str, texts: Sequence[str]) -> ListBlocks:
        """The blocks of a list."""
        words = ("scores", "score", "candidate")
        listed = (
            fence(f"candidate {letter}", text, verdict_words=words)
            for letter, text in zip(string.ascii_uppercase, texts, strict=False)
        )
        return cls(fence("conversation", shared, verdict_words=words), tuple(listed))

    @property
    def letters(self) -> str:
        """Of the candidates."""
        return string.ascii_uppercase[: len(self.candidates)]


def list_question(blocks: ListBlocks, *, criteria: str, run: str = "", seed: int | None = None) -> Question:
    """All candidates in one question, the conversation once and in front."""
    shown = (blocks.conversation, *blocks.candidates)
    messages = [
        {"role": "system", "content": f"{TASK}\n\n{criteria}\n\n{INSTRUCTION}"},
        {"role": "user", "content": "\n\n".join([*(block.text for block in shown), form_of(blocks.letters)])},
    ]
    max_tokens = _TOKENS_MORE + _TOKENS_EACH * len(blocks.candidates)
    return Question(messages, max_tokens=max_tokens, json_schema=_schema(blocks.letters), seed=seed, run=run)


def form_of(letters: str) -> str:
    """What the reply must look like."""
    return ASK.format(letters=", ".join(letters))


def _schema(letters: str) -> Mapping[str, Any]:
    entry = {
        "type": "object",
        "properties": {
            "candidate": {"type": "string", "enum": list(letters)},
            "explanation": {"type": "string"},
            "score": {"type": "number", "minimum": 0, "maximum": 1},
        },
        "required": ["candidate", "explanation", "score"],
        "additionalProperties": False,
    }
    many = {"type": "array", "items": entry, "minItems": len(letters), "maxItems": len(letters)}
    return {"type": "object", "properties": {"scores": many}, "required": ["scores"], "additionalProperties": False}


def read_marks(reply: str, count: int) -> dict[int, Mark]:
    """The marks of a reply by the candidate's place; those without one that is clear and in range are left out.

    A candidate that is named twice has none, whatever the two say.

    Raises:
        UnparseableError: no JSON object with scores, or several that differ.

    Example:
        >>> read_marks('{"scores": [{"candidate": "B", "score": 0.25}, {"candidate": "A", "score": 7}]}', 2)
        {1: Mark(score=0.25, explanation=None)}
    """
    listed = _listed_scores(split_thinking(reply).answer)
    named = [str(entry.get("candidate")).strip().upper() for entry in listed]
    marks: dict[int, Mark] = {}
    for at, letter in enumerate(string.ascii_uppercase[:count]):
        if named.count(letter) != 1:
            continue
        entry = listed[named.index(letter)]
        score, explanation = entry.get("score"), entry.get("explanation")
        # NaN is no number of JSON's, and was refused when the reply was read.
        if not isinstance(score, bool) and isinstance(score, (int, float)) and 0.0 <= score <= 1.0:
            marks[at] = Mark(float(score), explanation if isinstance(explanation, str) else None)
    return marks


def _listed_scores(answer: str) -> list[Mapping[str, Any]]:
    try:
        found = [
            one["scores"]
            for one, source in objects(answer)
            if isinstance(one.get("scores"), list) and is_key("scores", source)
        ]
    except MalformedJsonError as error:
        raise UnparseableError(str(error)) from None
    if not found:
        raise UnparseableError("no JSON object with 'scores' in the reply", f"that ends in {answer[-200:]!r}")
    if any(one != found[-1] for one in found):
        raise UnparseableError(f"{len(found)} JSON objects with 'scores' that differ; one is wanted")
    return [entry for entry in found[-1] if isinstance(entry, dict)]
