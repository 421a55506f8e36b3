"""An endpoint whose questions are counted, priced and bounded by a budget a run.

What arrives: questions, each with its run. What leaves: the inner endpoint's replies with their price. A question that
may overdraw its run's budget is refused before it is asked; one that fails costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rayreward.calling.ledger import Ledger, Usage
from rayreward.judges.endpoint import Endpoint, Question, Reply

_BYTES_A_TOKEN = 3
"""English has about 4 and Chinese about 3 in UTF-8: what is set aside for a question is rather too much."""

_TOKENS_A_MESSAGE = 16
"""What chat templates put around one, rather too many."""


class MeteredEndpoint:
    """Counts what `inner` is asked in `ledger`.

    Example:
        >>> import asyncio
        >>> from rayreward.calling.ledger import Prices
        >>> from rayreward.judges.scripted import ScriptedEndpoint
        >>> endpoint = MeteredEndpoint(ScriptedEndpoint(["Score: 7"]), Ledger(Prices(prompt=1.0)))
        >>> reply = asyncio.run(endpoint.ask(Question([{"role": "user", "content": "How good?"}], run="run-1")))
        >>> reply.text, endpoint.ledger.spent("run-1").usage.requests
        ('Score: 7', 1)
    """

    def __init__(self, inner: Endpoint, ledger: Ledger) -> None:
        self.inner, self.ledger = inner, ledger

    @property
    def lost(self) -> str | None:
        """Whether the inner endpoint is."""
        return self.inner.lost

    async def ask(self, question: Question) -> Reply:
        """The inner endpoint's reply.

        Raises:
            BackpressureError: the run's budget does not allow it; and what the inner endpoint raises.
        """
        most = Usage(prompt_tokens=estimated_tokens(question.messages), completion_tokens=question.max_tokens)
        hold = self.ledger.hold(question.run, most)
        used: Usage | None = None
        try:
            reply = await self.inner.ask(question)
            used = usage_of(reply)
        finally:
            cost_usd = self.ledger.settle(hold, used)
        return replace(reply, cost_usd=cost_usd)

    async def aclose(self) -> None:
        """Close the inner endpoint."""
        await self.inner.aclose()


def usage_of(reply: Reply) -> Usage:
    """What one reply took, as the server counted."""
    return Usage(reply.prompt_tokens, reply.cached_tokens, reply.completion_tokens, requests=1)


def counted(reply: Reply, question: Question) -> Reply:
    """`reply` with estimates where the server counted nothing: what it does not tell costs money all the same.

    Example:
        >>> question = Question([{"role": "user", "content": "How good?"}])
        >>> reply = counted(Reply("Score: 7", completion_tokens=4), question)
        >>> reply.prompt_tokens, reply.completion_tokens
        (19, 4)
    """
    said = [{"content": reply.text}]
    return replace(
        reply,
        prompt_tokens=reply.prompt_tokens or estimated_tokens(question.messages),
        completion_tokens=reply.completion_tokens or min(estimated_tokens(said), question.max_tokens),
    )


def estimated_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """About how many tokens a question has, rather too many."""
    return sum(
        len(str(message.get("content") or "").encode("utf-8", "replace")) // _BYTES_A_TOKEN + _TOKENS_A_MESSAGE
        for message in messages
    )
