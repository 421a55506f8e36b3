"""What is scored.

Frozen, picklable and light to import, as everything that travels. A sample is text: what is no text, or no mapping,
is refused when it is made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayreward.errors import InvalidInputError, shown
from rayreward.messages import Message, as_messages, prompt_text, split_chat


@dataclass(frozen=True, slots=True, init=False)
class Sample:
    """One thing to score.

    Give either `messages` (the last assistant message is the response) or `response` with its `prompt`; the other
    view is derived. `Trajectory` is another name for it.

    Attributes:
        label: the ground truth of the data set, whatever its type; None where there is none.
        metadata: further columns of the data set.
        group_id: names the prompt whose samples must be seen together; `group_size` says how many they are.
        steps: the parts of a response that a process reward scores one by one.
        token_ids: the response's token ids, for rewards that score tokens.

    Raises:
        InvalidInputError: neither messages nor a response were given, or both, or of a wrong type.

    Example:
        >>> Sample(prompt="2 + 2?", response="4", label="4").messages[-1].content
        '4'
    """

    prompt: str
    response: str
    label: Any
    metadata: Mapping[str, Any]
    id: str | None
    group_id: str | None
    group_size: int | None
    steps: tuple[str, ...] | None
    token_ids: tuple[int, ...] | None
    _messages: tuple[Message, ...] | None

    def __init__(
        self,
        messages: Any = None,
        *,
        prompt: str | None = None,
        response: str | None = None,
        label: Any = None,
        metadata: Mapping[str, Any] | None = None,
        id: str | None = None,
        group_id: str | None = None,
        group_size: int | None = None,
        steps: Sequence[str] | None = None,
        token_ids: Sequence[int] | None = None,
    ) -> None:
        chat: tuple[Message, ...] | None = None
        if messages is not None:
            if response is not None or prompt is not None:
                raise InvalidInputError("a sample takes messages, or prompt and response, not both")
            chat = as_messages(messages)
            prompt_side, response = split_chat(chat)
            prompt = prompt_text(prompt_side)
        if not isinstance(response, str):
            raise InvalidInputError(f"a sample needs messages or a response text, found response={shown(response)}")
        if prompt is not None and not isinstance(prompt, str):
            raise InvalidInputError(f"a sample's prompt must be text, found {type(prompt).__name__}")
        if metadata is not None and not isinstance(metadata, Mapping):
            raise InvalidInputError(f"a sample's metadata must be an object, found {type(metadata).__name__}")
        if isinstance(steps, str):
            raise InvalidInputError("a sample's steps must be a list of texts, found one text")
        put = object.__setattr__
        put(self, "prompt", prompt or "")
        put(self, "response", response)
        put(self, "label", label)
        put(self, "metadata", dict(metadata or {}))
        put(self, "id", id)
        put(self, "group_id", group_id)
        put(self, "group_size", group_size)
        put(self, "steps", None if steps is None else tuple(steps))
        put(self, "token_ids", None if token_ids is None else tuple(token_ids))
        put(self, "_messages", chat)

    @classmethod
    def checked(
        cls,
        prompt: str,
        response: str,
        label: Any = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        group_id: str | None = None,
        group_size: int | None = None,
    ) -> Sample:
        """A sample of what is known to be right: half of the time, and nothing copied."""
        found = {} if metadata is None else metadata
        return _restore_sample(prompt, response, label, found, None, group_id, group_size, None, None, None)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole conversation, the response last."""
        if self._messages is not None:
            return self._messages
        return (*self.original_messages, Message(role="assistant", content=self.response))

    @property
    def original_messages(self) -> tuple[Message, ...]:
        """The prompt side of the conversation."""
        if self._messages is not None:
            return split_chat(self._messages)[0]
        return (Message(role="user", content=self.prompt),) if self.prompt else ()

    @property
    def text(self) -> str:
        """Prompt and response as one text: the trainer's own, where it sent one."""
        query = self.metadata.get("query")
        return query if isinstance(query, str) else self.prompt + self.response

    @property
    def size_bytes(self) -> int:
        """About how many bytes the sample's texts hold; what batches are bounded by."""
        size = len(self.prompt) + len(self.response) + 64
        if isinstance(self.label, str):
            size += len(self.label)
        if self.metadata:
            for text in self.metadata.values():
                if isinstance(text, str):
                    size += len(text)
        return size

    @property
    def token_count(self) -> int:
        """About how many tokens the sample holds: its `token_ids` are counted, a text without them is estimated.

        The estimate is a token for four characters: what English text has with the tokenizers of today's models.
        """
        ids = self.token_ids
        if ids is None:
            return (len(self.prompt) + len(self.response)) // 4 + 1
        return len(self.prompt) // 4 + len(ids)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_sample, (
            self.prompt, self.response, self.label, self.metadata, self.id, self.group_id, self.group_size,
            self.steps, self.token_ids, self._messages,
        )  # fmt: skip


Trajectory = Sample


def _restore_sample(
    prompt: Any,
    response: Any,
    label: Any,
    metadata: Any,
    id: Any,
    group_id: Any,
    group_size: Any,
    steps: Any,
    token_ids: Any,
    messages: Any,
) -> Sample:
    """A sample of its slots' values, one after the other, as `rayreward.types._restore_output` does."""
    sample = object.__new__(Sample)
    _put_prompt(sample, prompt)
    _put_response(sample, response)
    _put_label(sample, label)
    _put_metadata(sample, metadata)
    _put_id(sample, id)
    _put_group_id(sample, group_id)
    _put_group_size(sample, group_size)
    _put_steps(sample, steps)
    _put_token_ids(sample, token_ids)
    _put_messages(sample, messages)
    return sample


(
    _put_prompt,
    _put_response,
    _put_label,
    _put_metadata,
    _put_id,
    _put_group_id,
    _put_group_size,
    _put_steps,
    _put_token_ids,
    _put_messages,
) = (vars(Sample)[name].__set__ for name in Sample.__slots__)
"""The slots' own setters: a frozen value's other way in."""
