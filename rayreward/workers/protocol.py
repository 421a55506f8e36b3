"""What a replica and its worker process tell each other.

Samples and outputs travel as pickles of their own inside these, so that one which cannot be read on the other side
costs itself and not the batch.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """The reward, pickled by cloudpickle, and where its modules are looked for."""

    blob: bytes
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ready:
    """The reward is loaded."""

    version: str


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
