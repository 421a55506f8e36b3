"""Feedback as a message of the model's chat template.

What arrives: a text and a role. What leaves: what has to follow the model's action so that its context reads as the
template would have written it: the action's end where the model has not said it, the message, and the beginning of the
model's next turn. Tokens that were sampled stay as they are; only what lies between them is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rayreward.errors import InvalidOutputError, shown

_ACTION = "%%the action%%"
"""Stands for the model's own turn while the template is filled in; what it writes behind that is what is wanted."""


def as_message(tokenizer: Any, text: str, role: str, *, action_ids: Sequence[int], is_last: bool) -> str:
    """The text that follows an action when the environment speaks as `role`.

    Args:
        tokenizer: a tokenizer or a processor with a chat template.
        text: what the environment says.
        role: "user", "tool" or whatever the template knows.
        action_ids: the tokens of the action; their last one may be the template's end of a turn.
        is_last: whether the model does not speak again.

    Raises:
        InvalidOutputError: the template cannot write such a message.
    """
    messages = [
        {"role": "user", "content": "?"},
        {"role": "assistant", "content": _ACTION},
        {"role": role, "content": text},
    ]
    try:
        written = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=not is_last)
        _, found, rest = str(written).partition(_ACTION)
    except Exception as error:  # the boundary: templates raise whatever they like
        raise InvalidOutputError(
            f"the model's chat template cannot write a message of role {shown(role)} ({error}); "
            "leave the role out to append feedback as it stands"
        ) from error
    if not found:
        raise InvalidOutputError("the model's chat template leaves out what the assistant said before its last turn")
    return rest.removeprefix(_said_end(tokenizer, action_ids))


def _said_end(tokenizer: Any, action_ids: Sequence[int]) -> str:
    """The special token that ends the action, if one does."""
    special = getattr(getattr(tokenizer, "tokenizer", tokenizer), "all_special_ids", ())
    if not action_ids or action_ids[-1] not in special:
        return ""
    return str(tokenizer.decode(list(action_ids[-1:]), skip_special_tokens=False))
