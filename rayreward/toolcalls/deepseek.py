"""DeepSeek: a call between special tokens, its name and then fenced JSON; since V3.1 without the fence."""

from __future__ import annotations

import re

from rayreward.json_text import MalformedJsonError, load_json_at
from rayreward.toolcalls.call import MAX_CALLS, MalformedCallError, ToolCall, read_call

TAG = "<\uff5ctool\u2581calls\u2581begin\uff5c>"

_OPEN = "<\uff5ctool\u2581call\u2581begin\uff5c>"
_CLOSE = "<\uff5ctool\u2581call\u2581end\uff5c>"
_CALLS_END = "<\uff5ctool\u2581calls\u2581end\uff5c>"
_SEPARATOR = "<\uff5ctool\u2581sep\uff5c>"
_NAME = re.compile(
    rf"\s{{0,64}}(?:function{_SEPARATOR}(?P<old>[^\s<>]{{1,256}})\s{{0,64}}```(?:json)?"
    rf"|(?P<new>[^\s<>]{{1,256}}){_SEPARATOR})"
)


def parse_deepseek(text: str) -> list[ToolCall]:
    """The calls behind the tag, in either form; text before it is no call.

    Raises:
        MalformedCallError: what follows the tag is of neither form.

    Example:
        >>> parse_deepseek(f'{TAG}{_OPEN}now{_SEPARATOR}{{}}{_CLOSE}')[0].name
        'now'
    """
    position = _behind_space(text, text.find(TAG) + len(TAG)) if TAG in text else len(text)
    calls: list[ToolCall] = []
    while text.startswith(_OPEN, position) and len(calls) <= MAX_CALLS:
        named = _NAME.match(text, position + len(_OPEN))
        if named is None:
            raise MalformedCallError("one of DeepSeek's calls has no name")
        try:
            value, end = load_json_at(text, named.end())
        except MalformedJsonError as error:
            raise MalformedCallError(f"where DeepSeek's arguments should be: {error}") from None
        calls.append(read_call({"name": named["old"] or named["new"], "arguments": value}))
        end = _behind_space(text, end)
        end = _behind_space(text, end + 3 if named["old"] and text.startswith("```", end) else end)
        if not text.startswith(_CLOSE, end) and end < len(text):
            raise MalformedCallError("one of DeepSeek's calls does not end behind its arguments")
        position = _behind_space(text, end + len(_CLOSE))
    if TAG in text and (not calls or (position < len(text) and not text.startswith(_CALLS_END, position))):
        raise MalformedCallError("something else stands where DeepSeek's calls should be")
    return calls


def _behind_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position
