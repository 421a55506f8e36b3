"""What makes two samples the same question.

What arrives: a sample. What leaves: a digest of all that decides its score (prompt or messages, response, label,
metadata, steps and token ids; not its id nor its group), or None where its values have no exact form.

Equal digests mean equal values of equal types: 1, 1.0 and True are three labels, and so are a list and a tuple.
"""

from __future__ import annotations

import hashlib
import marshal
from typing import Any

from rayreward.sample import Sample

_FORMAT = 2
"""Of marshal: the last one whose bytes depend on values alone, and not on which of them happen to be one object."""


def sample_key(sample: Sample) -> bytes | None:
    """The digest of a sample.

    Example:
        >>> sample_key(Sample(response="4", id="a")) == sample_key(Sample(response="4", id="b"))
        True
        >>> sample_key(Sample(response="4", label=1)) == sample_key(Sample(response="4", label=True))
        False
    """
    chat = sample._messages
    messages = None if chat is None else [dict(message) for message in chat]
    values: Any = (
        sample.prompt, sample.response, sample.label, sample.metadata, sample.steps, sample.token_ids, messages,
    )  # fmt: skip
    try:
        return hashlib.sha256(marshal.dumps(values, _FORMAT)).digest()
    except ValueError:
        return None  # an object of somebody's class: nobody knows when two of them are the same
