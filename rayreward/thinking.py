"""The two parts of a reasoning model's response: what it thinks, and what it answers.

What arrives: a response. What leaves: both texts. Templates that end in ``<think>`` leave the opening tag in the
prompt, so the closing one alone ends the thinking; a response that was cut off inside it has no answer.
"""

from __future__ import annotations

from typing import NamedTuple

_OPENING, _CLOSING = "<think>", "</think>"


class Parts(NamedTuple):
    """A response's parts; `thinking` is None where there is no think block."""

    thinking: str | None
    answer: str


def split_thinking(response: str) -> Parts:
    """The thinking and the answer of `response`.

    Example:
        >>> split_thinking("2 and 2 …</think>It is 4."), split_thinking("It is 4.").thinking
        (Parts(thinking='2 and 2 …', answer='It is 4.'), None)
    """
    before, closing, _ = response.partition(_CLOSING)
    opened = before.partition(_OPENING)
    if closing:
        return Parts(opened[2] if opened[1] else before, response.rpartition(_CLOSING)[2])
    if opened[1]:
        return Parts(opened[2], "")
    return Parts(None, response)


def opens_thinking(prompt: str) -> bool:
    r"""Whether `prompt` ends in the opening tag, so that the response begins inside the thinking.

    Example:
        >>> opens_thinking("user: 2 + 2?\nassistant: <think>\n"), opens_thinking("What does <think> mean?")
        (True, False)
    """
    return prompt.rstrip().endswith(_OPENING)
