"""Responses that hold something besides one answer."""

from __future__ import annotations

from rayreward.errors import shown
from rayreward.instructions.finding import Finding

_DIVIDER = "******"


def two_responses(text: str) -> Finding:
    """There are two responses that differ, with six asterisks between them."""
    parts = [part.strip() for part in text.split(_DIVIDER)]
    if not all(parts[1:-1]):
        return Finding(False, f"nothing between two dividers {_DIVIDER}")
    responses = [part for part in parts if part]
    if len(responses) == 2 and responses[0] == responses[1]:
        return Finding(False, "both responses are the same")
    return Finding(len(responses) == 2, f"{len(responses)} responses; wanted 2, with {_DIVIDER} between them")


def repeat_prompt(text: str, *, prompt_to_repeat: str) -> Finding:
    """The response begins with the request, whatever its case."""
    start = text.strip()[: len(prompt_to_repeat) + 8].lower()  # a letter may have longer capitals
    return Finding(start.startswith(prompt_to_repeat.lower()), f"begins with {shown(start)}")
