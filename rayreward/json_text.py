"""JSON out of text that a model wrote: bounded in size, depth and time.

What arrives: any text. What leaves: plain values, or a `MalformedJsonError` whose message is a reason to show. Stricter
than Python's own reader where leniency would let a response say two things: a key given twice, NaN and Infinity are
refused. Nothing here knows of samples or schemas.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

MAX_CHARS = 2**20
"""Of a text that is read; a response of a million characters is no answer, and each one costs time."""

MAX_DEPTH = 64
"""Of arrays and objects inside each other; what compares values recurses, and real ones are four deep."""

_MAX_FAILED_STARTS = 256
"""Braces tried that begin no object, before a text is given up: each costs up to the rest of the text."""

_MAX_BLOCKS = 128
"""Fenced blocks looked at, from the start; each is read, and no response has so many."""

_OBJECT_START = re.compile(r"\{[ \t\r\n]{0,64}[\"}]")
"""What an object can begin with; of the braces of prose and LaTeX none does."""

_SPACE = re.compile(r"[ \t\r\n]*")


class MalformedJsonError(ValueError):
    """The text is no JSON, or more than is read; the message says why."""


class FencedBlock(NamedTuple):
    """A block between triple backquotes: what its first line calls it, and its text."""

    language: str
    text: str


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedJsonError(f"{name} is no JSON")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedJsonError("an object has the same key twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_without_doubles, parse_constant=_refuse_constant)


def load_json(text: str) -> Any:
    """The one value that `text` is.

    Raises:
        MalformedJsonError: it is none, or something follows it.

    Example:
        >>> load_json(' {"a": [1, 2.5]} ')
        {'a': [1, 2.5]}
    """
    value, end = load_json_at(text, 0)
    if _SPACE.match(text, end).end() != len(text):  # type: ignore[union-attr]  # it also matches nothing
        raise MalformedJsonError("more text follows the JSON value")
    return value


def load_json_at(text: str, start: int) -> tuple[Any, int]:
    """The value that begins at `start`, white space before it skipped, and where it ends.

    Raises:
        MalformedJsonError: none begins there, or it is too large or too deep.
    """
    if len(text) > MAX_CHARS:
        raise MalformedJsonError(f"a text of {len(text)} characters is not read: at most {MAX_CHARS} are")
    begin = _SPACE.match(text, start).end()  # type: ignore[union-attr]
    try:
        value, end = _DECODER.raw_decode(text, begin)
    except RecursionError:
        raise MalformedJsonError(f"JSON deeper than {MAX_DEPTH} levels is not read") from None
    except MalformedJsonError:
        raise
    except ValueError as error:  # also a number of more digits than Python converts
        raise MalformedJsonError(f"no JSON: {str(error)[:80]}") from None
    if is_deeper(value, MAX_DEPTH):
        raise MalformedJsonError(f"JSON deeper than {MAX_DEPTH} levels is not read")
    return value, end


def is_deeper(value: Any, limit: int) -> bool:
    """Whether lists and dicts lie more than `limit` levels inside each other; without recursion.

    Example:
        >>> is_deeper([[1]], 2), is_deeper([[1]], 1)
        (False, True)
    """
    level = [value]
    for _ in range(limit + 1):
        containers = [one for one in level if isinstance(one, (dict, list, tuple))]
        if not containers:
            return False
        level = [item for one in containers for item in (one.values() if isinstance(one, dict) else one)]
    return True


def fenced_blocks(text: str) -> Iterator[FencedBlock]:
    r"""The blocks between triple backquotes, in order, within a line too; one that never closes goes to the end.

    Example:
        >>> list(fenced_blocks("so\n```json\n{}\n```"))
        [FencedBlock(language='json', text='{}\n')]
    """
    for part in text.split("```", 2 * _MAX_BLOCKS)[1::2]:
        language, newline, body = part.partition("\n")
        yield FencedBlock(language.strip().lower(), body) if newline else FencedBlock("", part)


def objects(text: str) -> Iterator[tuple[Any, str]]:
    """The objects of a text that are not inside another one, in order, each with the text that it was read from.

    Raises:
        MalformedJsonError: the text is longer than is read.

    Example:
        >>> [source for _, source in objects('first {"a": 1}, then {"b": {"c": 2}}.')]
        ['{"a": 1}', '{"b": {"c": 2}}']
    """
    if len(text) > MAX_CHARS:
        raise MalformedJsonError(f"a text of {len(text)} characters is not read: at most {MAX_CHARS} are")
    failed, position = 0, 0
    while failed < _MAX_FAILED_STARTS and (start := _OBJECT_START.search(text, position)):
        try:
            found, position = load_json_at(text, start.start())
        except MalformedJsonError:
            failed, position = failed + 1, start.start() + 1
        else:
            yield found, text[start.start() : position]


def last_object(text: str) -> Any:
    """The last object of a text that is not inside another one.

    Raises:
        MalformedJsonError: there is none.

    Example:
        >>> last_object('first {"a": 1}, then {"b": {"c": 2}}.')
        {'b': {'c': 2}}
    """
    found: Any = None
    for found, _ in objects(text):  # noqa: B007 - the last one is what is wanted
        pass
    if found is None:
        raise MalformedJsonError("no JSON object found")
    return found
