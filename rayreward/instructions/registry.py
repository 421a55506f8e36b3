"""The instructions by their ids.

What arrives: ids and arguments as a data set writes them. What leaves: instructions that can be asked of a response.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayreward.errors import InvalidInputError, did_you_mean, shown
from rayreward.instructions import case, combination, content, format, keywords, language, length, punctuation, startend
from rayreward.instructions.arguments import read_arguments
from rayreward.instructions.finding import Finding
from rayreward.instructions.loose import readings

CHECKS: Mapping[str, Callable[..., Finding]] = {
    "change_case:capital_word_frequency": case.capital_word_frequency,
    "change_case:english_capital": case.english_capital,
    "change_case:english_lowercase": case.english_lowercase,
    "combination:repeat_prompt": combination.repeat_prompt,
    "combination:two_responses": combination.two_responses,
    "detectable_content:number_placeholders": content.number_placeholders,
    "detectable_content:postscript": content.postscript,
    "detectable_format:constrained_response": format.constrained_response,
    "detectable_format:json_format": format.json_format,
    "detectable_format:multiple_sections": format.multiple_sections,
    "detectable_format:number_bullet_lists": format.number_bullet_lists,
    "detectable_format:number_highlighted_sections": format.number_highlighted_sections,
    "detectable_format:title": format.title,
    "keywords:existence": keywords.keywords_exist,
    "keywords:forbidden_words": keywords.forbidden_words,
    "keywords:frequency": keywords.keyword_frequency,
    "keywords:letter_frequency": keywords.letter_frequency,
    "language:response_language": language.response_language,
    "length_constraints:nth_paragraph_first_word": length.nth_paragraph_first_word,
    "length_constraints:number_paragraphs": length.number_paragraphs,
    "length_constraints:number_sentences": length.number_sentences,
    "length_constraints:number_words": length.number_words,
    "punctuation:no_comma": punctuation.no_comma,
    "startend:end_checker": startend.end_phrase,
    "startend:quotation": startend.quotation,
}
"""The ids of the data set; a check's keyword parameters are the arguments that the instruction needs."""

_ARGUMENTS = {
    name: tuple(key for key, one in inspect.signature(check).parameters.items() if one.kind is one.KEYWORD_ONLY)
    for name, check in CHECKS.items()
}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction with its arguments."""

    id: str
    arguments: Mapping[str, Any]

    def ask(self, response: str) -> Finding:
        """Whether `response` follows it as it stands; an empty one follows nothing."""
        if not response.strip():
            return Finding(False, "the response is empty")
        return CHECKS[self.id](response, **self.arguments)

    def ask_loosely(self, response: str) -> Finding:
        """Whether one of the response's readings follows it."""
        strict = self.ask(response)
        if strict.is_followed:
            return strict
        for reading, left_out in readings(response):
            if left_out and (found := self.ask(reading)).is_followed:
                return Finding(True, f"{found.reason} (without {left_out})")
        return strict


def read_instructions(ids: Any, kwargs: Any = None) -> list[Instruction]:
    """The instructions of a row of the data set.

    Args:
        ids: `instruction_id_list`.
        kwargs: one dict an instruction, in their order; None where none of them needs an argument.

    Raises:
        InvalidInputError: no or an unknown instruction, or an argument that is missing or wrong; named.

    Example:
        >>> [one] = read_instructions(["keywords:existence"], [{"keywords": ["tea"], "num_words": None}])
        >>> one.ask("Green tea.")
        Finding(is_followed=True, reason='all keywords found')
    """
    if isinstance(ids, (str, bytes)) or not isinstance(ids, Sequence) or not ids:
        raise InvalidInputError(f"instruction_id_list must be a list of instruction ids, found {shown(ids)}")
    given = [{}] * len(ids) if kwargs is None else kwargs
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence) or len(given) != len(ids):
        raise InvalidInputError(f"kwargs must be a list of {len(ids)} dicts, one an instruction, found {shown(kwargs)}")
    return [_read_one(name, one) for name, one in zip(ids, given, strict=True)]


def _read_one(name: Any, given: Any) -> Instruction:
    if not isinstance(name, str) or name not in CHECKS:
        raise InvalidInputError(f"unknown instruction {shown(name)}: {did_you_mean(str(name)[:80], CHECKS)}")
    if given is not None and not isinstance(given, Mapping):
        raise InvalidInputError(f"{name}: kwargs must be a dict, found {shown(given)}")
    return Instruction(name, read_arguments(name, _ARGUMENTS[name], given or {}))
