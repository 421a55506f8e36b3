"""Chat messages, in the shape that trainers, templates and judges share.

What arrives: what people write: dicts, strings, the openai package's objects. What leaves: frozen `Message` values, or
an `InvalidInputError` that names the position. Nothing here knows of samples or scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from rayreward.errors import InvalidInputError, shown

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


class Message(dict[str, Any]):
    """One chat message in OpenAI's shape, readable as ``message["content"]`` and as ``message.content``.

    It is a dict, so that templates, JSON encoders and graders written for plain dicts take it as it is, and it
    refuses to be changed, so that one reward cannot alter what the next one sees (parts and tool calls inside it are
    plain values: leave them as they are). Keys beyond the five of the shape are kept. `content` is text, None, or a
    list of parts (``{"type": "text", "text": …}``).

    Example:
        >>> message = Message(role="user", content="2 + 2?")
        >>> message.content, message["role"]
        ('2 + 2?', 'user')
    """

    __slots__ = ()

    @property
    def role(self) -> str:
        """Who speaks: system, user, assistant or tool."""
        return str(self.get("role", ""))

    @property
    def content(self) -> Any:
        """Text, None, or a list of parts."""
        return self.get("content")

    @property
    def text(self) -> str:
        """The content as text: parts of type text joined, everything else left out."""
        content = self.get("content")
        if isinstance(content, str):
            return content
        if isinstance(content, list):
            return "".join(str(part.get("text") or "") for part in content)
        return ""

    @property
    def unread_parts(self) -> tuple[str, ...]:
        """The types of its parts that are no text (image_url, …): what a reward that reads text would overlook."""
        content = self.get("content")
        parts = content if isinstance(content, list) else ()
        return tuple(str(part.get("type")) for part in parts if "text" not in part)

    @property
    def tool_calls(self) -> Any:
        """The tool calls of an assistant message, or None."""
        return self.get("tool_calls")

    @property
    def name(self) -> str | None:
        """The speaker's name, or None."""
        return self.get("name")

    @property
    def tool_call_id(self) -> str | None:
        """Which call a tool message answers, or None."""
        return self.get("tool_call_id")

    def _refuse(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise TypeError("a Message is frozen; make a changed copy with Message({**message, 'content': ...})")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = pop = popitem = clear = setdefault = _refuse

    def __reduce__(self) -> tuple[type[Message], tuple[dict[str, Any]]]:
        return Message, (dict(self),)


def as_messages(value: Any) -> tuple[Message, ...]:
    """Messages from what people write: dicts, `Message` values, a string, or ``{"user": …, "assistant": …}``.

    Raises:
        InvalidInputError: an item is neither, or its content is; the message names its position and what it is.
    """
    if isinstance(value, str):
        return (Message(role="user", content=value),)
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        raise InvalidInputError(f"messages must be a list of chat messages, found {type(value).__name__}")
    messages: list[Message] = []
    for position, item in enumerate(value):
        if isinstance(item, Mapping) and isinstance(item.get("role"), str):
            messages.append(item if isinstance(item, Message) else Message(item))
        elif isinstance(item, Mapping) and item and item.keys() <= _ROLES:
            messages.extend(Message(role=role, content=content) for role, content in item.items())
        elif hasattr(item, "model_dump"):  # the openai package's own message objects
            messages.append(Message(item.model_dump(exclude_none=True)))
        else:
            raise InvalidInputError(
                f"messages[{position}] must be an object with 'role' and 'content', found {shown(item)}"
            )
    for position, message in enumerate(messages):
        _check_content(message.content, position)
    return tuple(messages)


def _check_content(content: Any, position: int) -> None:
    """Refuse what would otherwise be read as no text at all."""
    is_parts = isinstance(content, list) and all(isinstance(part, Mapping) for part in content)
    if content is not None and not isinstance(content, str) and not is_parts:
        raise InvalidInputError(
            f"messages[{position}]: content must be text, null or a list of parts, found {shown(content)}"
        )


def split_chat(messages: Sequence[Message]) -> tuple[tuple[Message, ...], str]:
    """The prompt side of a conversation, and the response text: its last message, where the assistant wrote it."""
    if messages and messages[-1].role == "assistant":
        return tuple(messages[:-1]), messages[-1].text
    return tuple(messages), ""


def prompt_text(messages: Sequence[Message]) -> str:
    """A prompt as text: the content of a lone message, else one line a message with its role in front."""
    if len(messages) == 1:
        return messages[0].text
    return "\n".join(f"{message.role}: {message.text}" for message in messages)
