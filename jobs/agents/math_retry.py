"""A mathematical problem with several tries: a wrong answer is said to be wrong, and the model may think again.

The verdict compares the last number of what the model said with the last number of the label. Rewards of its own, for
``rewards: environment``: 1 for the right answer, times `discount` for every try before it; 0 for a wrong one.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from rayreward.agents import Environment, Turn

NUMBER = re.compile(r"-?\d[\d,]{0,40}(?:\.\d{1,40})?")

WRONG = "\nThat is not the right answer. Look for the mistake, and end with the answer as a number.\n"
UNCLEAR = "\nThere is no number in that. End with the answer as a number.\n"


class MathRetry(Environment):
    """One problem.

    Args:
        role: "user" for chat models (the feedback becomes a message of the chat), None for base models.
        discount: what each earlier try costs.
    """

    def __init__(self, role: str | None = None, discount: float = 0.5) -> None:
        self.role, self.discount, self.tries = role, discount, 0

    def reset(self, prompt: str, label: Any) -> None:
        """Read the answer."""
        self.wanted = last_number(str(label))
        if self.wanted is None:
            raise ValueError(f"the label holds no number: {label!r:.80}")

    def step(self, action: str) -> Turn:
        """Say whether the answer is right, but never what it is."""
        given = last_number(action)
        self.tries += 1
        if given is not None and given == self.wanted:
            return Turn(done=True, reward=self.discount ** (self.tries - 1), metadata={"tries": self.tries})
        feedback = UNCLEAR if given is None else WRONG
        return Turn(feedback, reward=0.0, role=self.role, metadata={"tries": self.tries})


def last_number(text: str) -> Fraction | None:
    """The last number in a text, exactly."""
    found = NUMBER.findall(text)
    return Fraction(found[-1].replace(",", "")) if found else None
