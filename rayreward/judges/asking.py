"""Asking a judge until its reply can be read, and what becomes of a sample that it gave no verdict on.

What arrives: a question and how to read its reply. What leaves: the verdict with what all tries have cost, or the
sample's failure with the same. A reply that cannot be read is asked for again, and the judge is told what was wrong
with it; after the last try the sample is `unparseable`, never a middle score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from rayreward.calling.ledger import Usage
from rayreward.errors import AuthenticationError
from rayreward.judges.endpoint import Endpoint, Question, Reply
from rayreward.judges.guard import without_special_tokens
from rayreward.judges.metered import usage_of
from rayreward.judges.verdicts import UnparseableError
from rayreward.outcome import failed_output
from rayreward.types import FailureKind, RewardOutput

T = TypeVar("T")

MAX_CORRECTIONS = 2
"""Further questions after a reply that cannot be read: most judges mend theirs at the first, and one that did not at
the second will not."""

_QUOTED_CHARS = 4000
"""Of the judge's own reply, repeated to it with what was wrong: enough to go on from, and no long bill."""


@dataclass
class Cost:
    """What the questions about one sample have taken so far."""

    usage: Usage = field(default_factory=Usage)
    usd: float = 0.0

    def add(self, reply: Reply) -> None:
        """Count one reply."""
        self.usage += usage_of(reply)
        self.usd += reply.cost_usd

    def as_metadata(self) -> dict[str, Any]:
        """For an output's metadata."""
        return {
            "judge_requests": self.usage.requests,
            "prompt_tokens": self.usage.prompt_tokens,
            "cached_tokens": self.usage.cached_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "cost_usd": self.usd,
        }


@dataclass(frozen=True)
class Asker(Generic[T]):
    """Asks one kind of question.

    Attributes:
        endpoint: whom.
        read: a reply's verdict; raises `UnparseableError`.
        reminder: what form the reply must have, told with what was wrong.
        max_corrections: how often.
    """

    endpoint: Endpoint
    read: Callable[[Reply], T]
    reminder: str
    max_corrections: int = MAX_CORRECTIONS

    async def ask(self, question: Question, cost: Cost) -> T:
        """The verdict; every reply is counted in `cost`.

        Raises:
            UnparseableError: no reply could be read; and what the endpoint raises.
        """
        asked, tried = question, 0
        while True:
            reply = await self.endpoint.ask(asked)
            cost.add(reply)
            try:
                return self.read(reply)
            except UnparseableError as error:
                tried += 1
                if tried > self.max_corrections:
                    raise UnparseableError(str(error), f"({tried} tries)" if tried > 1 else "") from None
                # Only the latest correction: with the earlier ones each question would be dearer than the one before.
                asked = self._corrected(question, reply, error.problem)

    def _corrected(self, question: Question, reply: Reply, wrong: str) -> Question:
        # Its own words stay its own: a special token that it quoted would begin another turn, ours perhaps.
        said = {"role": "assistant", "content": without_special_tokens(reply.text[-_QUOTED_CHARS:]) or "(nothing)"}
        told = {"role": "user", "content": f"Your reply cannot be read: {wrong}. {self.reminder}"}
        return replace(question, messages=[*question.messages, said, told])


def failure_of(error: Exception, metadata: dict[str, Any] | None = None) -> RewardOutput:
    """The output of a sample that a judge gave no verdict on."""
    if isinstance(error, UnparseableError):
        return RewardOutput.failed(FailureKind.UNPARSEABLE, str(error)[:2000], metadata=metadata)
    if isinstance(error, AuthenticationError):  # the judge's key is the service's matter, not the sample's
        return RewardOutput.failed(FailureKind.UNAVAILABLE, str(error)[:2000], metadata=metadata)
    failed = failed_output(error)
    return RewardOutput(failure=failed.failure, metadata=metadata)
