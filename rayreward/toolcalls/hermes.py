"""Hermes and Qwen: ``<tool_call>{"name": …, "arguments": {…}}</tool_call>``, once a call.

Qwen3-coder has function tags inside of these.
"""

from __future__ import annotations

from rayreward.json_text import MalformedJsonError, load_json
from rayreward.toolcalls.call import MAX_CALLS, MalformedCallError, ToolCall, read_call
from rayreward.toolcalls.function_tags import OPEN as FUNCTION
from rayreward.toolcalls.function_tags import parse_function_tags

OPEN, CLOSE = "<tool_call>", "</tool_call>"


def parse_hermes(text: str) -> list[ToolCall]:
    """The calls between the tags; text around them is no call. The last may lack its closing tag (a stop token).

    Raises:
        MalformedCallError: what a pair of tags holds is no call.

    Example:
        >>> parse_hermes('I look. <tool_call>{"name": "now", "arguments": {}}</tool_call>')
        [ToolCall(name='now', arguments={})]
    """
    blocks = text.split(OPEN, MAX_CALLS + 1)[1:]
    calls: list[ToolCall] = []
    for position, block in enumerate(blocks):
        inside, closing, _ = block.partition(CLOSE)
        if not closing and position < len(blocks) - 1:
            raise MalformedCallError("a <tool_call> does not end before the next one begins")
        if inside.lstrip().startswith(FUNCTION):
            calls += parse_function_tags(inside)
            continue
        try:
            calls.append(read_call(load_json(inside)))
        except MalformedJsonError as error:
            raise MalformedCallError(f"what a <tool_call> holds: {error}") from None
    return calls
