"""Function tags: Llama 3.1's ``<function=name>{…}</function>`` and Qwen3-coder's ``<parameter=…>`` inside of them.

What a parameter's tags hold is text, whatever its type: such a call says so, and is compared by its parameters' types.
"""

from __future__ import annotations

import re

from rayreward.json_text import MalformedJsonError, load_json_at
from rayreward.toolcalls.call import MAX_CALLS, MalformedCallError, ToolCall, read_call

OPEN, CLOSE = "<function=", "</function>"

_NAME = re.compile(r"[\"']?(?P<name>[^\s<>\"'={}]{1,256})[\"']?>\s{0,64}")
_PARAMETER = re.compile(r"\s{0,64}<parameter=[\"']?(?P<name>[^\s<>\"'={}]{1,256})[\"']?>")
_PARAMETER_CLOSE = "</parameter>"


def parse_function_tags(text: str) -> list[ToolCall]:
    r"""The calls between the tags; text around them is no call. One with JSON may lack its closing tag (a stop token).

    Raises:
        MalformedCallError: what a pair of tags holds is neither an object nor parameters.

    Example:
        >>> parse_function_tags('I add. <function=add>{"a": 1}</function>')
        [ToolCall(name='add', arguments={'a': 1})]
        >>> parse_function_tags("<function=add><parameter=a>\n1\n</parameter></function>")
        [ToolCall(name='add', arguments={'a': '1'})]
    """
    calls: list[ToolCall] = []
    start = text.find(OPEN)
    while start >= 0 and len(calls) <= MAX_CALLS:
        named = _NAME.match(text, start + len(OPEN))
        if named is None:
            raise MalformedCallError("<function=…> has no name")
        call, end = _read_at(text, named["name"], named.end())
        calls.append(call)
        start = text.find(OPEN, end)
    return calls


def _read_at(text: str, name: str, start: int) -> tuple[ToolCall, int]:
    if text.startswith("{", start):
        try:
            value, end = load_json_at(text, start)
        except MalformedJsonError as error:
            raise MalformedCallError(f"what <function={name:.60}> holds: {error}") from None
        call = read_call({"name": name, "arguments": value})
    else:
        arguments, end = _parameters_at(text, name, start)
        call = ToolCall(name, arguments, are_texts=True)
    rest = text[end : end + 256].lstrip()
    if rest.startswith(CLOSE) or (not rest and text.startswith("{", start)):
        return call, end
    raise MalformedCallError(f"<function={name:.60}> does not end behind its arguments")


def _parameters_at(text: str, name: str, start: int) -> tuple[dict[str, str], int]:
    found: dict[str, str] = {}
    while opened := _PARAMETER.match(text, start):
        end = text.find(_PARAMETER_CLOSE, opened.end())
        value = text[opened.end() : end]
        if end < 0 or opened["name"] in found:
            raise MalformedCallError(f"<function={name:.60}> has a parameter without an end, or the same one twice")
        found[opened["name"]] = value.removeprefix("\n").removesuffix("\n")  # the template's own new lines
        start = end + len(_PARAMETER_CLOSE)
    return found, start
