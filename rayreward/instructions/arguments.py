"""The arguments of instructions, as data sets write them.

What arrives: an instruction's `kwargs`: a dict, or one as JSON; keys that are null or that belong to other instructions
are ignored, because tables carry every column in every row. What leaves: values of the right type, or an error that
names the instruction, the argument and what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from rayreward.errors import ConfigError, InvalidInputError, shown
from rayreward.instructions.finding import Relation
from rayreward.languages.detector import known_language


def _count(value: Any) -> int:
    # A table with nulls holds its whole numbers as floats.
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0 and value == value // 1:
        return int(value)
    raise ValueError("a whole number from 0 up")


def _text(value: Any) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError("a text that is not empty")


def _letter(value: Any) -> str:
    if isinstance(value, str) and len(value.strip()) == 1:
        return value.strip().lower()
    raise ValueError("one letter")


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, Sequence) and not isinstance(value, str) and value:
        return tuple(_text(one) for one in value)
    raise ValueError("a list of texts")


def _relation(value: Any) -> str:
    if value in get_args(Relation):
        return str(value)
    raise ValueError(" or ".join(map(repr, get_args(Relation))))


def _language(value: Any) -> str:
    try:
        return known_language(_text(value))
    except ConfigError:
        raise ValueError("the code of a language that is known, such as 'de'") from None


_READERS: Mapping[str, Callable[[Any], Any]] = {
    "capital_frequency": _count,
    "capital_relation": _relation,
    "end_phrase": _text,
    "first_word": _text,
    "forbidden_words": _texts,
    "frequency": _count,
    "keyword": _text,
    "keywords": _texts,
    "language": _language,
    "let_frequency": _count,
    "let_relation": _relation,
    "letter": _letter,
    "nth_paragraph": _count,
    "num_bullets": _count,
    "num_highlights": _count,
    "num_paragraphs": _count,
    "num_placeholders": _count,
    "num_sections": _count,
    "num_sentences": _count,
    "num_words": _count,
    "postscript_marker": _text,
    "prompt_to_repeat": _text,
    "relation": _relation,
    "section_spliter": _text,
}
"""By name, spelled as in the data set: an argument means the same in every instruction that has it."""


def read_arguments(instruction_id: str, names: Sequence[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments `names` out of `given`.

    Raises:
        InvalidInputError: one is missing, or is no value that it can have.
    """
    arguments = {}
    for name in names:
        if given.get(name) is None:
            found = ", ".join(sorted(str(key) for key, value in given.items() if value is not None)) or "none"
            raise InvalidInputError(f"{instruction_id} needs the argument {name!r} in kwargs; found {found:.200}")
        try:
            arguments[name] = _READERS[name](given[name])
        except (ValueError, OverflowError) as error:
            raise InvalidInputError(f"{instruction_id}: {name} must be {error}, found {shown(given[name])}") from None
    return arguments
