"""Plain JSON: a call or a list of calls, as the whole text or in fenced blocks."""

from __future__ import annotations

from typing import Any

from rayreward.json_text import MalformedJsonError, fenced_blocks, load_json
from rayreward.toolcalls.call import MalformedCallError, ToolCall, looks_like_a_call, read_call

_LANGUAGES = frozenset({"json", "tool_call", "tool_calls", "tool_code"})


def parse_plain_json(text: str) -> list[ToolCall]:
    r"""The calls that the text is, else those of all its fenced blocks; blocks that hold other data are no calls.

    Raises:
        MalformedCallError: a block that says it is JSON is none, or a list mixes calls with something else.

    Example:
        >>> parse_plain_json('I call:\n```json\n[{"name": "now", "arguments": {}}]\n```')
        [ToolCall(name='now', arguments={})]
    """
    if "```" not in text:
        return _calls_of(text, must_be_json=text.lstrip()[:1] in ("{", "["))
    calls = []
    for block in fenced_blocks(text):
        calls += _calls_of(block.text, must_be_json=block.language in _LANGUAGES)
    return calls


def _calls_of(text: str, *, must_be_json: bool) -> list[ToolCall]:
    try:
        value: Any = load_json(text)
    except MalformedJsonError as error:
        if must_be_json:
            raise MalformedCallError(f"where calls should be: {error}") from None
        return []
    items = value if isinstance(value, list) else [value]
    are_calls = [looks_like_a_call(item) for item in items]
    if not any(are_calls):
        return []
    if not all(are_calls):
        raise MalformedCallError("a list mixes calls with something else")
    return [read_call(item) for item in items]
