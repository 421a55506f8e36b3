"""Mistral: ``[TOOL_CALLS]`` and a list of objects; since tokenizer v11 ``[TOOL_CALLS]name[ARGS]{…}``, once a call."""

from __future__ import annotations

import re

from rayreward.json_text import MalformedJsonError, load_json_at
from rayreward.toolcalls.call import MAX_CALLS, MalformedCallError, ToolCall, read_call

TAG = "[TOOL_CALLS]"

_NAME = re.compile(r"\s{0,64}(?P<name>[^\s\[\]{}]{1,256})\s{0,64}(?:\[CALL_ID\][^\[{]{0,64})?(?:\[ARGS\])?")


def parse_mistral(text: str) -> list[ToolCall]:
    """The calls behind the tag, in either form; text before the first tag is no call.

    Raises:
        MalformedCallError: what follows the tag is of neither form, or something follows the calls.

    Example:
        >>> parse_mistral('[TOOL_CALLS]add[ARGS]{"a": 1}[TOOL_CALLS]now[ARGS]{}')
        [ToolCall(name='add', arguments={'a': 1}), ToolCall(name='now', arguments={})]
        >>> parse_mistral('[TOOL_CALLS] [{"name": "now", "arguments": {}}]')
        [ToolCall(name='now', arguments={})]
    """
    position = text.find(TAG)
    calls: list[ToolCall] = []
    while position >= 0 and len(calls) <= MAX_CALLS:
        found, end = _parse_at(text, position + len(TAG))
        calls += found
        position = text.find(TAG, end)
        if text[end : position if position >= 0 else len(text)].strip():
            raise MalformedCallError("text follows Mistral's calls")
    return calls


def _parse_at(text: str, start: int) -> tuple[list[ToolCall], int]:
    named = _NAME.match(text, start)
    try:
        value, end = load_json_at(text, named.end() if named else start)
    except MalformedJsonError as error:
        raise MalformedCallError(f"behind [TOOL_CALLS]: {error}") from None
    if named:
        return [read_call({"name": named["name"], "arguments": value})], end
    return [read_call(one) for one in (value if isinstance(value, list) else [value])], end
