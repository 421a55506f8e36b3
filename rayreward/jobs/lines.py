"""Whole lines out of a job's output, which comes in pieces."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

ANSI_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
LINE_ENDS = re.compile(r"\r\n|\n|\r")
"""A bare carriage return ends a line too: progress bars redraw themselves with it."""


async def split_lines(pieces: AsyncIterator[str]) -> AsyncIterator[str]:
    """Whole lines out of pieces that end anywhere; empty lines and colour codes are dropped."""
    rest = ""
    async for piece in pieces:
        *lines, rest = LINE_ENDS.split(rest + piece)
        for line in lines:
            if cleaned := ANSI_CODES.sub("", line).rstrip():
                yield cleaned
    if cleaned := ANSI_CODES.sub("", rest).rstrip():
        yield cleaned
