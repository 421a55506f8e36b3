"""What a replica and its worker processes tell each other.

Samples and outputs travel as pickles of their own inside these, so that one which cannot be read on the other side
costs itself and not the batch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """The reward, pickled by cloudpickle, where its modules are looked for, and what a scorer may take beside it."""

    blob: bytes
    path: tuple[str, ...]
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Ready:
    """The reward is loaded. Scorers are forked from here, or it scores itself where `why_no_forks` says why."""

    version: str
    why_no_forks: str | None


@dataclass(frozen=True, slots=True)
class Broken:
    """The reward cannot be loaded, and why."""

    message: str


@dataclass(frozen=True, slots=True)
class Work:
    """A batch of pickled samples."""

    samples: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """One sample's pickled output; `position` counts within the batch."""

    position: int
    output: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The batch is answered."""


@dataclass(frozen=True, slots=True)
class Spent:
    """The process has run out of memory and ends; what it has not answered is for another."""


@dataclass(frozen=True, slots=True)
class UpTo:
    """The samples behind this one of the batch are another's; the process ends when it has answered it.

    It must be named: the process may have answered the one before and not begun it.
    """

    position: int
