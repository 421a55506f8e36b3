"""OpenAI's chat messages: ``tool_calls`` beside the content, arguments as JSON text or as an object."""

from __future__ import annotations

from rayreward.messages import Message
from rayreward.toolcalls.call import MalformedCallError, ToolCall, read_call


def parse_openai(message: Message) -> list[ToolCall]:
    """The calls of a message; the older ``function_call`` too.

    Raises:
        MalformedCallError: they are of another shape.

    Example:
        >>> parse_openai(Message(role="assistant", tool_calls=[{"function": {"name": "now", "arguments": "{}"}}]))
        [ToolCall(name='now', arguments={})]
    """
    asked = message.get("tool_calls")
    if asked is None or asked == []:
        asked = [message["function_call"]] if message.get("function_call") else []
    if not isinstance(asked, (list, tuple)):
        raise MalformedCallError(f"tool_calls must be a list, found {type(asked).__name__}")
    return [read_call(one) for one in asked]
