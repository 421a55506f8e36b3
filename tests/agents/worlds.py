"""Environments that behave, and environments that do not."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from rayreward.agents import Environment, Turn


class Guess(Environment):
    """Says whether a number is the label; async."""

    async def reset(self, prompt: str, label: Any) -> str | None:
        self.label = label
        return None

    async def step(self, action: str) -> Turn:
        is_right = action == self.label
        return Turn("" if is_right else " no: ", done=is_right, reward=float(is_right), metadata={"said": action})


class Rude(Environment):
    """Goes wrong at the place and in the way that the label names."""

    closed: list[str] = []  # noqa: RUF012 - what a test looks at

    def reset(self, prompt: str, label: Any) -> Any:
        self.label = str(label)
        if self.label.startswith("reset"):
            return self._misbehave()
        return None

    def step(self, action: str) -> Any:
        if self.label.startswith("step"):
            return self._misbehave()
        return Turn(done=True, reward=1.0)

    def close(self) -> None:
        self.closed.append(self.label)
        raise OSError("closing fails too")

    def _misbehave(self) -> Any:
        act = self.label.partition(" ")[2]
        if act == "hangs":
            time.sleep(30)
        if act == "raises":
            raise ValueError("a bug of the author")
        if act == "exits":
            raise SystemExit(3)
        if act == "cancels":
            raise asyncio.CancelledError
        if act == "nan":
            return Turn(reward=float("nan"))
        return 42


class Stubborn(Environment):
    """Async, and goes on when it is cancelled."""

    async def step(self, action: str) -> Turn:
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            await asyncio.sleep(30)
        return Turn()


class Threaded(Environment):
    """Sync; says on which thread it runs."""

    def __init__(self, suffix: str = "") -> None:
        self.suffix = suffix

    def reset(self, prompt: str, label: Any) -> str:
        return prompt + self.suffix

    def step(self, action: str) -> Turn:
        return Turn(
            done=True, metadata={"thread": threading.current_thread().name, "odd": {1, 2}, "surrogate": "\ud800"}
        )


class Chatty(Environment):
    """Speaks as a user of the chat."""

    def step(self, action: str) -> Turn:
        return Turn("again", role="user", reward=0.0)


class Silent(Environment):
    """Gives no rewards."""

    def step(self, action: str) -> Turn:
        return Turn(done=True)


class Garbled(Environment):
    """Says what no tokenizer takes."""

    def step(self, action: str) -> Turn:
        return Turn("\ud800", done=True)


class Picky(Environment):
    """Fails at what it does not like."""

    def step(self, action: str) -> Turn:
        if action == "wrong":
            raise ValueError(action)
        return Turn(done=True)


class Graded(Environment):
    """Rewards a number with itself, and fails at anything else."""

    def step(self, action: str) -> Turn:
        return Turn(reward=float(action))
