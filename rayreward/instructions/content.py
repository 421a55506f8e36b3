"""Parts that a response has to contain."""

from __future__ import annotations

import re

from rayreward.errors import shown
from rayreward.instructions.finding import Finding, compare

_PLACEHOLDER = re.compile(r"\[[^\[\]\n]*\]")
_POSTSCRIPTS = {
    "p.s.": re.compile(r"p\.\s?s\.", re.IGNORECASE),
    "p.p.s": re.compile(r"p\.\s?p\.\s?s", re.IGNORECASE),
}
"""The two markers of the data set, which people write with and without spaces."""


def number_placeholders(text: str, *, num_placeholders: int) -> Finding:
    """There are at least so many placeholders: something in square brackets, on one line."""
    count = sum(bool(match[0][1:-1].strip()) for match in _PLACEHOLDER.finditer(text))
    return compare(count, "at least", num_placeholders, "placeholders")


def postscript(text: str, *, postscript_marker: str) -> Finding:
    """The marker of a postscript occurs, whatever its case."""
    pattern = _POSTSCRIPTS.get(postscript_marker.lower())
    is_there = pattern.search(text) is not None if pattern else postscript_marker.lower() in text.lower()
    return Finding(is_there, f"{shown(postscript_marker)} {'found' if is_there else 'not found'}")
