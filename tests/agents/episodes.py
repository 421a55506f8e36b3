"""Episodes of the test worlds, and what is looked at in them."""

from __future__ import annotations

from typing import Any

from rayreward.agents.binding import Binding
from rayreward.types import Failure
from tests.agents.fakes import FakeScorer, Letters


def executor(environment: str, scorer: FakeScorer | None = None, **binding: Any) -> Any:
    from rayreward.agents.multi_turn import MultiTurnExecutor

    where = environment if ":" in environment else f"tests.agents.worlds:{environment}"
    return MultiTurnExecutor(Binding(environment=where, **binding), scorer or FakeScorer())


def text(response: dict[str, Any]) -> str:
    return Letters().decode(response["observation_tokens"])


def actions(response: dict[str, Any]) -> list[str]:
    return [Letters().decode(response["observation_tokens"][start:end]) for start, end in response["action_ranges"]]


def only_failure(scorer: FakeScorer) -> Failure:
    [(_, failure)] = scorer.failed
    return failure
