"""How a reward is, where it is loaded: what it does while it starts, what loading found, and whether it is lost.

What arrives: nothing; a reward makes one when it is asked. What leaves: a frozen value, which travels to the router.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Condition:
    """One reward's.

    Attributes:
        doing: what it does until it is loaded ("loading weights", "warming up"); None where it says nothing.
        lost: why it cannot score any more, and another copy must take its place; None while it can.
        step_tokens: of its model: tokens that one step computes; None where no model counts them.
        found: what loading has found, for people: seconds, the result of a probe.
    """

    doing: str | None = None
    lost: str | None = None
    step_tokens: int | None = None
    found: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_all(cls, parts: Mapping[str, Condition]) -> Condition:
        """Of a reward with parts: what the first of them does or has lost, the largest step, and what each has found.

        Example:
            >>> Condition.of_all({"style": Condition(), "quality": Condition("warming up", step_tokens=2048)})
            Condition(doing='quality: warming up', lost=None, step_tokens=2048, found={})
        """
        steps = [one.step_tokens for one in parts.values() if one.step_tokens is not None]
        return cls(
            doing=_first([(name, one.doing) for name, one in parts.items()]),
            lost=_first([(name, one.lost) for name, one in parts.items()]),
            step_tokens=max(steps, default=None),
            found={name: dict(one.found) for name, one in parts.items() if one.found},
        )


def _first(said: Sequence[tuple[str, str | None]]) -> str | None:
    return next((f"{name}: {what}" for name, what in said if what is not None), None)
