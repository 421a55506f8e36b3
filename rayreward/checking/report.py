"""What a check found.

What arrives: nothing. What leaves: the values that the probes fill and that the table, the JSON document and the pytest
plugin show. Texts in it can be printed anywhere: `printable` made them.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["ok", "note", "wrong", "skipped"]
"""`wrong` fails the check; `note` is worth a look; `skipped` says why there is no answer."""

_MAX_CHARS = 240
"""Of a text in a report: a reward's own message or a response may be megabytes."""


class Finding(msgspec.Struct, frozen=True):
    """What one probe found.

    Attributes:
        check: the probe.
        found: for a person, with numbers.
        remedy: what to do about it; None where nothing is to be done.
    """

    check: str
    level: Level
    found: str
    remedy: str | None = None


class Range(msgspec.Struct, frozen=True):
    """The scores of the real responses."""

    scored: int
    min: float
    max: float
    mean: float


class Percentiles(msgspec.Struct, frozen=True):
    """Of seconds a sample."""

    p50_s: float
    p90_s: float
    p99_s: float


class Speed(msgspec.Struct, frozen=True):
    """What a sample takes.

    Attributes:
        wall, cpu: inside the reward, without transport; cpu with that of its threads and ended child processes.
        samples_per_s: of one worker process, transport included.
        samples: measured.
    """

    wall: Percentiles
    cpu: Percentiles
    samples_per_s: float
    samples: int


class HostileCase(msgspec.Struct, frozen=True):
    """What the reward made of one hostile input: a score, or a failure's kind and message."""

    name: str
    level: Level
    score: float | None
    found: str


class Hack(msgspec.Struct, frozen=True):
    """What one cheap answer earns.

    Attributes:
        example: the first of its responses.
        mean: of those that were scored; None where none was.
        share: of what the real responses earn, from 0; None where that cannot be said.
        found: why there is no mean, where there is none.
    """

    name: str
    level: Level
    example: str
    mean: float | None = None
    share: float | None = None
    scored: int = 0
    samples: int = 0
    found: str = ""


class Report(msgspec.Struct, frozen=True):
    """All of it; `rayreward check --json` prints it."""

    ok: bool
    reward: str
    version: str
    samples: int
    source: str
    findings: list[Finding]
    responses: Literal["responses", "labels"] = "responses"
    """What was scored: the data's responses, or its labels where it has none."""
    range: Range | None = None
    speed: Speed | None = None
    hostile: list[HostileCase] = []
    hacks: list[Hack] = []
    real_mean: float | None = None
    """Of the samples that the hacks were tried on: all, or the first of each group."""


def printable(text: str, limit: int = _MAX_CHARS) -> str:
    r"""`text` on one line, short, and such that any terminal and any JSON reader takes it.

    Example:
        >>> print(printable("a\ud800\n\x00 b"))
        a\ud800\n\x00 b
    """
    short = text if len(text) <= limit else f"{text[: limit - 1]}…"
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in short)
