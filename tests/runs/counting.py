"""An environment of two turns: the model is asked once more when its first answer held too few digits."""

from __future__ import annotations

from typing import Any

from rayreward.agents import Environment, Turn


class Counting(Environment):
    """Wants digits."""

    def reset(self, prompt: str, label: Any) -> None:
        self.turns = 0

    def step(self, action: str) -> Turn:
        self.turns += 1
        enough = sum(letter.isdigit() for letter in action) > len(action) / 2
        return Turn("" if enough else "\nmore digits: ", done=enough)


class Stumbling(Counting):
    """Breaks over one first action in eight."""

    def step(self, action: str) -> Turn:
        if len(action) % 8 == 0:
            raise RuntimeError("the world has ended")
        return super().step(action)
