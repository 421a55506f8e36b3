"""The seam between a judge and the language model that it asks.

What arrives: a question in OpenAI's chat shape. What leaves: the reply's text, the log probabilities that were asked
for, and what it has cost. Limits, retries and money are the endpoint's business; verdicts are the judge's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Question:
    """One request to a judge.

    Attributes:
        messages: OpenAI's chat shape.
        max_tokens: how long the reply may be.
        temperature: 0 unless several replies are wanted.
        choices: texts of one token each whose probabilities at the reply's first position are wanted; empty for none.
        json_schema: what the reply must conform to, where the server can enforce it; None for free text.
        seed: for servers that take one.
        run: the training that asks; what it costs is counted under this name.
    """

    messages: Sequence[Mapping[str, Any]]
    max_tokens: int = 512
    temperature: float = 0.0
    choices: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    seed: int | None = None
    run: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        text: the reply.
        logprobs: of the reply's first position: natural logarithms by token text, all that the server returned.
        prompt_tokens: as the server counted them.
        cached_tokens: those of the prompt that it had computed before.
        completion_tokens: as the server counted them.
        cost_usd: in US dollars, where the endpoint knows prices.
    """

    text: str
    logprobs: Mapping[str, float] = field(default_factory=dict)
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0


class Endpoint(Protocol):
    """A language model that answers questions."""

    @property
    def lost(self) -> str | None:
        """Why it will never answer again, where it runs in this process; else None."""
        ...

    async def ask(self, question: Question) -> Reply:
        """The reply.

        Raises:
            TimeoutError: none came in time.
            BackpressureError: the server, or the run's budget, refuses more for now.
            ServiceUnavailableError: it cannot be reached, or answered what is no reply.
            AuthenticationError: the key is wrong.
            InvalidInputError: the question cannot be sent, or is too long for the model.
        """
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...
