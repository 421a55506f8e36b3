"""What a worker process tells its replica."""

from __future__ import annotations

from dataclasses import dataclass

from rayreward.types import RewardOutput


@dataclass(frozen=True, slots=True)
class Ready:
    """The reward is loaded."""

    version: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The reward cannot be loaded, and why."""

    message: str


@dataclass(frozen=True, slots=True)
class Scored:
    """One sample's output; `position` counts within the batch."""

    position: int
    output: RewardOutput


@dataclass(frozen=True, slots=True)
class Done:
    """The batch is answered."""
