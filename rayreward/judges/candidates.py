"""The samples of a prompt as a judge that compares them is shown them.

What arrives: the samples of a group. What leaves: what they share, once; each different text, once, in an order that
depends on the texts alone; and who must be left out because a judge that reads text would overlook a part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rayreward.messages import Message
from rayreward.sample import Sample
from rayreward.types import Failure, FailureKind


@dataclass(frozen=True, slots=True)
class Candidates:
    """The different texts of a group.

    Attributes:
        shared: the conversation that all have in common, as text.
        texts: what follows it: one for each candidate.
        members: the positions of the samples that have each text.
        unreadable: why a sample is no candidate, by its position.
    """

    shared: str
    texts: tuple[str, ...]
    members: tuple[tuple[int, ...], ...]
    unreadable: Mapping[int, Failure]

    @property
    def copies(self) -> list[int]:
        """How many samples have each text."""
        return [len(members) for members in self.members]


def read_candidates(samples: Sequence[Sample]) -> Candidates:
    """The candidates of a group, ordered by a hash of their texts: by nothing that a policy or a network decides.

    Example:
        >>> group = [Sample(prompt="2 + 2?", response=text) for text in ("4", "5", "4")]
        >>> found = read_candidates(group)
        >>> found.shared, sorted(zip(found.texts, found.members))
        ('user: 2 + 2?', [('4', (0, 2)), ('5', (1,))])
    """
    unreadable = {at: failure for at, sample in enumerate(samples) if (failure := _unread(sample)) is not None}
    readable = [at for at in range(len(samples)) if at not in unreadable]
    chats = {at: samples[at].messages for at in readable}
    shared_count = _shared_count(list(chats.values()))
    by_text: dict[str, list[int]] = {}
    for at, chat in chats.items():
        by_text.setdefault(_as_text(chat[shared_count:]), []).append(at)
    shared = _lines(chats[readable[0]][:shared_count]) if readable else ""
    texts = sorted(by_text, key=lambda text: content_digest(shared, text))
    return Candidates(shared, tuple(texts), tuple(tuple(by_text[text]) for text in texts), unreadable)


def content_digest(*texts: str) -> str:
    """A hash of `texts`, to put them into an order that nobody has chosen."""
    digest = hashlib.sha256()
    for text in texts:
        part = text.encode("utf-8", "surrogatepass")
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _unread(sample: Sample) -> Failure | None:
    kinds = [kind for message in sample.messages for kind in message.unread_parts]
    if not kinds:
        return None
    return Failure(FailureKind.INVALID_INPUT, f"the judge is sent text only, found a part of type {kinds[0]!r}")


def _shared_count(chats: Sequence[Sequence[Message]]) -> int:
    """How many messages all begin with, each one's last message left to itself."""
    most = min((len(chat) - 1 for chat in chats), default=0)
    return next((at for at in range(most) if any(chat[at] != chats[0][at] for chat in chats)), max(0, most))


def _as_text(messages: Sequence[Message]) -> str:
    if len(messages) == 1 and messages[0].role == "assistant" and not messages[0].tool_calls:
        return messages[0].text
    return _lines(messages)


def _lines(messages: Sequence[Message]) -> str:
    return "\n\n".join(
        f"{message.role}: {message.text}"
        + (f"\ntool calls: {json.dumps(message.tool_calls, default=str)}" if message.tool_calls else "")
        for message in messages
    )
