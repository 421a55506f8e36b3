from __future__ import annotations

import asyncio

import pytest

from rayreward.calling.ledger import Budget, Ledger, Prices
from rayreward.errors import BackpressureError, ServiceUnavailableError
from rayreward.judges.endpoint import Question, Reply
from rayreward.judges.metered import MeteredEndpoint, estimated_tokens
from rayreward.judges.scripted import ScriptedEndpoint

REPLY = Reply("fine", prompt_tokens=20, cached_tokens=8, completion_tokens=2)


def question(text: str = "How good?", **fields: object) -> Question:
    return Question([{"role": "user", "content": text}], max_tokens=10, run="run", **fields)  # type: ignore[arg-type]


async def test_a_reply_carries_its_price_and_its_run_the_sum() -> None:
    endpoint = MeteredEndpoint(ScriptedEndpoint([REPLY, REPLY]), Ledger(Prices(1e6, 1e6, cached=0.0)))
    assert [(await endpoint.ask(question())).cost_usd for _ in range(2)] == [14.0, 14.0]
    assert endpoint.ledger.spent("run").usd == 28.0


async def test_what_fails_or_is_cancelled_costs_nothing_and_holds_nothing() -> None:
    class Never(ScriptedEndpoint):
        async def ask(self, question: Question) -> Reply:
            if question.seed:
                await asyncio.Event().wait()
            return await super().ask(question)

    inner = Never([ServiceUnavailableError("down"), REPLY])
    endpoint = MeteredEndpoint(inner, Ledger(budget=Budget(tokens=estimated_tokens(question().messages) + 10)))
    with pytest.raises(ServiceUnavailableError):
        await endpoint.ask(question())
    waiting = asyncio.create_task(endpoint.ask(question(seed=1)))
    await asyncio.sleep(0)
    with pytest.raises(BackpressureError, match="set aside"):
        await endpoint.ask(question())
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (await endpoint.ask(question())).text == "fine"
    assert endpoint.ledger.spent("run").usage.requests == 1


async def test_over_the_budget_nobody_is_asked() -> None:
    inner = ScriptedEndpoint([])
    endpoint = MeteredEndpoint(inner, Ledger(budget=Budget(tokens=5)))
    with pytest.raises(BackpressureError, match="budget_tokens=5"):
        await endpoint.ask(question())
    assert inner.asked == []


@pytest.mark.parametrize("text", ["word " * 300, "\u4f60\u597d" * 300, "", "\ud800" * 9])
def test_estimates_are_rather_too_high(text: str) -> None:
    tokens_at_least = len(text.encode("utf-8", "replace")) // 4
    assert estimated_tokens([{"role": "user", "content": text}, {"role": "user"}]) >= tokens_at_least


async def test_closing_closes_what_is_inside() -> None:
    inner = ScriptedEndpoint([])
    await MeteredEndpoint(inner, Ledger()).aclose()
    assert inner.is_closed
