"""Which format a response is in, and its calls.

What arrives: a message or a text, and a format's name or "auto". What leaves: `ParsedCalls`, always: a text that means
to call and cannot be read has a problem instead of calls. A text is read once, by one format: what could be read in
two ways is read by the mark of `_MARKS` that stands first in it, so that nobody answers twice.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rayreward.errors import shown
from rayreward.json_text import MAX_CHARS
from rayreward.messages import Message
from rayreward.thinking import split_thinking
from rayreward.toolcalls import deepseek, function_tags, hermes, llama3, mistral
from rayreward.toolcalls.call import MAX_CALLS, Format, MalformedCallError, ToolCall
from rayreward.toolcalls.deepseek import parse_deepseek
from rayreward.toolcalls.function_tags import parse_function_tags
from rayreward.toolcalls.hermes import parse_hermes
from rayreward.toolcalls.llama3 import parse_llama3
from rayreward.toolcalls.mistral import parse_mistral
from rayreward.toolcalls.openai import parse_openai
from rayreward.toolcalls.plain_json import calls_in_prose, parse_plain_json
from rayreward.toolcalls.pythonic import parse_pythonic

_PARSERS: dict[str, Callable[[str], list[ToolCall]]] = {
    "hermes": parse_hermes,
    "function_tags": parse_function_tags,
    "llama3": parse_llama3,
    "mistral": parse_mistral,
    "deepseek": parse_deepseek,
    "pythonic": parse_pythonic,
    "json": parse_plain_json,
}

_MARKS: tuple[tuple[str, Format], ...] = (
    (hermes.OPEN, "hermes"),
    (function_tags.OPEN, "function_tags"),
    (mistral.TAG, "mistral"),
    (deepseek.TAG, "deepseek"),
    (llama3.TAG, "llama3"),
    ("<|python_start|>", "pythonic"),
)

_ENDS = (
    *("<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|eom|>", "<|end_of_text|>", "<|endoftext|>", "</s>"),
    *("<end_of_turn>", "<\uff5cend\u2581of\u2581sentence\uff5c>"),
)
"""Stop tokens, which some servers leave at the end of a text."""

_BARE_CALL = re.compile(r"(?:\[\s{0,64})?[A-Za-z_][\w.]{0,256}\(")
"""In prose a space stands before a bracket."""


@dataclass(frozen=True, slots=True)
class ParsedCalls:
    """What a response asks for.

    Attributes:
        calls: in order; empty where it asks for nothing, or where there is a problem.
        format: the format that it was read in, None where it shows none.
        problem: why it cannot be read.
    """

    calls: tuple[ToolCall, ...] = ()
    format: Format | None = None
    problem: str | None = None


def parse_calls(response: Message | str, format: Format | Literal["auto"] = "auto") -> ParsedCalls:
    """The calls of an assistant's message, or of a text.

    Example:
        >>> parse_calls('<think>add?</think>[add(a=1, b=2)]')
        ParsedCalls(calls=(ToolCall(name='add', arguments={'a': 1, 'b': 2}),), format='pythonic', problem=None)
        >>> parse_calls("<tool_call>{</tool_call>").problem[:34]
        'what a <tool_call> holds: no JSON:'
    """
    message = Message(role="assistant", content=response) if isinstance(response, str) else response
    found: Format | None = format if format != "auto" else None
    try:
        if format == "openai" or (format == "auto" and (message.get("tool_calls") or message.get("function_call"))):
            found = "openai"
            calls = parse_openai(message)
        else:
            text = without_thoughts(message.text)
            if len(text) > MAX_CHARS:
                raise MalformedCallError(f"{len(text)} characters are not read: at most {MAX_CHARS} are")
            found = found or detect_format(text)
            calls = _PARSERS[found](text) if found and text else []
        if len(calls) > MAX_CALLS:
            raise MalformedCallError(f"more than {MAX_CALLS} calls")
    except MalformedCallError as error:
        return ParsedCalls(format=found, problem=str(error))
    except RecursionError:
        return ParsedCalls(format=found, problem=f"nested too deeply: {shown(message.text)}")
    return ParsedCalls(tuple(calls), found if calls or format != "auto" else None)


def detect_format(text: str) -> Format | None:
    """The format that a text shows, None where it calls nothing."""
    # The first to stand there: an argument may hold another format's mark.
    found = [(at, marked) for mark, marked in _MARKS if (at := text.find(mark)) >= 0]
    if found:
        return min(found)[1]
    if text.startswith("{"):
        return "llama3" if '"name"' in text and ('"parameters"' in text or '"arguments"' in text) else None
    if "```" in text or text.startswith("[{"):
        return "json"
    if calls_in_prose(text):
        return "json"
    return "pythonic" if _BARE_CALL.match(text) and text.endswith((")", "]")) else None


def without_thoughts(text: str) -> str:
    """The answer behind a response's thoughts, Mistral's too, without stop tokens; nothing, where they never end."""
    text = split_thinking(text.replace("[THINK]", "<think>").replace("[/THINK]", "</think>")).answer.strip()
    for end in _ENDS * 2:  # a turn's end and the text's, in either order; each removal copies the text
        text = text.removesuffix(end).rstrip()
    return text
