"""Plain JSON: a call or a list of calls, as the whole text, behind prose or in fences, where Python's may be."""

from __future__ import annotations

import re
from typing import Any

from rayreward.json_text import MalformedJsonError, fenced_blocks, load_json, load_json_at
from rayreward.toolcalls.call import MAX_CALLS, MalformedCallError, ToolCall, looks_like_a_call, read_call
from rayreward.toolcalls.pythonic import parse_pythonic

_LANGUAGES = frozenset({"json", "tool_call", "tool_calls", "tool_code"})
_PYTHON = frozenset({"", "python", "py", "tool_code"})

_CALL_START = re.compile(r"(?:\[\s{0,64})?\{\s{0,64}\"(?:name|function|type|id|arguments|parameters)\"\s{0,64}:")
"""What a call in the middle of prose begins with."""


def parse_plain_json(text: str) -> list[ToolCall]:
    r"""The calls that the text is, those of all its fenced blocks, or those in its prose; other data are no calls.

    Raises:
        MalformedCallError: a block that says it is JSON is none, or a list mixes calls with something else.

    Example:
        >>> parse_plain_json('I call:\n```json\n[{"name": "now", "arguments": {}}]\n```')
        [ToolCall(name='now', arguments={})]
    """
    if "```" not in text:
        is_json = text.lstrip()[:1] in ("{", "[")
        return _calls_of(text, must_be_json=True) if is_json else _calls_in_prose(text)
    calls: list[ToolCall] = []
    for block in fenced_blocks(text):
        if block.language in _PYTHON and block.text.lstrip()[:1] != "{" and block.text.lstrip()[:2] != "[{":
            calls += _python_calls(block.text, must_be_calls=block.language == "tool_code")
        else:
            calls += _calls_of(block.text, must_be_json=block.language in _LANGUAGES)
    return calls


def calls_in_prose(text: str) -> bool:
    """Whether a text that is no JSON as a whole has an object that begins as a call does."""
    has_parts = '"name"' in text and ('"arguments"' in text or '"parameters"' in text)
    return has_parts and _CALL_START.search(text) is not None


def _calls_in_prose(text: str) -> list[ToolCall]:
    """All of them, so that two answers are two calls; one that cannot be read is a mistake, and not skipped."""
    calls: list[ToolCall] = []
    position = 0
    while len(calls) <= MAX_CALLS and (start := _CALL_START.search(text, position)):
        try:
            value, position = load_json_at(text, start.start())
        except MalformedJsonError as error:
            raise MalformedCallError(f"where a call should be: {error}") from None
        calls += _read_all(value)
    return calls


def _python_calls(text: str, *, must_be_calls: bool) -> list[ToolCall]:
    """Those of a block of Python; code that does anything but to call with literals is none."""
    try:
        return parse_pythonic(text)
    except MalformedCallError:
        if must_be_calls:
            raise
        return []


def _calls_of(text: str, *, must_be_json: bool) -> list[ToolCall]:
    try:
        value: Any = load_json(text)
    except MalformedJsonError as error:
        if must_be_json:
            raise MalformedCallError(f"where calls should be: {error}") from None
        return []
    return _read_all(value)


def _read_all(value: Any) -> list[ToolCall]:
    items = value if isinstance(value, list) else [value]
    are_calls = [looks_like_a_call(item) for item in items]
    if not any(are_calls):
        return []
    if not all(are_calls):
        raise MalformedCallError("a list mixes calls with something else")
    return [read_call(item) for item in items]
