"""The same sample with another response, label or prompt.

What arrives: a sample. What leaves: a copy in which everything that repeated the old text (OpenRLHF's query, steps,
token ids) follows the new one or is left out.
"""

from __future__ import annotations

from typing import Any

from rayreward.messages import Message
from rayreward.sample import Sample


def with_response(sample: Sample, response: str) -> Sample:
    """Another answer to the same prompt."""
    return _made(sample, (*sample.original_messages, _said(response)), label=sample.label)


def with_label(sample: Sample, label: Any) -> Sample:
    """The same answer, and another truth."""
    return _made(sample, (*sample.original_messages, _said(sample.response)), label=label)


def with_prompt(sample: Sample, prompt: str) -> Sample:
    """The same answer to another prompt."""
    return _made(sample, (Message(role="user", content=prompt), _said(sample.response)), label=sample.label)


def _said(response: str) -> Message:
    return Message(role="assistant", content=response)


def _made(sample: Sample, messages: tuple[Message, ...], *, label: Any) -> Sample:
    changed = Sample(messages, label=label, id=sample.id, group_id=sample.group_id, group_size=sample.group_size)
    metadata = dict(sample.metadata)
    if isinstance(metadata.get("query"), str):
        metadata["query"] = changed.prompt + changed.response
    return Sample(
        messages,
        label=label,
        metadata=metadata,
        id=sample.id,
        group_id=sample.group_id,
        group_size=sample.group_size,
        steps=None if sample.steps is None else (changed.response,),
    )
