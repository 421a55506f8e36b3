"""Rewards that a preflight meets."""

from __future__ import annotations

from typing import Any

from rayreward import reward_function


@reward_function
def right(messages: Any, original_messages: Any = None, label: str | None = None, **kwargs: Any) -> float:
    """Whether the label is in the response."""
    return float(label in messages[-1].content)


@reward_function
def broken(messages: Any, original_messages: Any = None, **kwargs: Any) -> float:
    """A reward that looks for something that the data does not have."""
    return float(kwargs["answer"])
