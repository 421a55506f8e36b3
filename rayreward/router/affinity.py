"""Which replica a prompt belongs to.

What arrives: a prompt, and who runs. What leaves: the replica that all of the prompt's samples go to, whatever request
they come in, so that what it has computed of the prompt serves them all. By rendezvous hashing: while the same
replicas run nothing moves, a replica that goes gives its own prompts to all others alike, and one that comes takes its
share from all of them.

Pure: no clock, no queue.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from rayreward.sample import Sample

_DIGEST_BYTES = 8
"""Of a prompt and of its place on a replica: two of a million prompts meet by chance less than once in ten million."""


def prompt_key(sample: Sample) -> str:
    """What a sample has in common with its siblings: its group where it names one, else its prompt.

    Example:
        >>> one, other = (Sample(prompt="2 + 2?", response=response) for response in ("4", "5"))
        >>> prompt_key(one) == prompt_key(other)
        True
    """
    has_id = sample.group_id is not None
    return f"{has_id}\0{sample.group_id if has_id else sample.prompt}"


def choose_replica(key: str, replicas: Sequence[str]) -> str | None:
    """Whose a prompt is, of those who run, in whatever order; None where nobody does.

    Example:
        >>> choose_replica("2 + 2?", ["a", "b", "c"])
        'c'
    """
    if len(replicas) < 2:
        return replicas[0] if replicas else None
    prompt = _digest(key.encode("utf-8", "surrogatepass"))  # once: prompts are long, and there may be many replicas
    return max(replicas, key=lambda replica: _digest(prompt + replica.encode()))


def _digest(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest()
