"""Llama 3: bare JSON, ``{"name": …, "parameters": {…}}``, also behind ``<|python_tag|>``.

Between several stands ``;`` or a new line.
"""

from __future__ import annotations

from rayreward.json_text import MalformedJsonError, load_json_at
from rayreward.toolcalls.call import MAX_CALLS, MalformedCallError, ToolCall, read_call

TAG = "<|python_tag|>"


def parse_llama3(text: str) -> list[ToolCall]:
    """The calls that the text, or what follows the tag, is.

    Raises:
        MalformedCallError: it holds something else.

    Example:
        >>> parse_llama3('{"name": "add", "parameters": {"a": 1}}; {"name": "now", "parameters": {}}')
        [ToolCall(name='add', arguments={'a': 1}), ToolCall(name='now', arguments={})]
    """
    before, tag, behind = text.partition(TAG)
    body = (behind if tag else before).strip().rstrip("; \n")
    calls: list[ToolCall] = []
    position = 0
    while position < len(body) and len(calls) <= MAX_CALLS:
        try:
            value, position = load_json_at(body, position)
        except MalformedJsonError as error:
            raise MalformedCallError(f"where Llama's calls should be: {error}") from None
        calls.append(read_call(value))
        position = _behind_separator(body, position)
    return calls


def _behind_separator(body: str, position: int) -> int:
    is_new_line = False
    while position < len(body) and body[position].isspace():
        is_new_line |= body[position] == "\n"
        position += 1
    if position == len(body) or (is_new_line and body[position] == "{"):
        return position
    if body[position] != ";":
        raise MalformedCallError("calls in a row must have ';' between them")
    return position + 1
