"""How a response begins and ends."""

from __future__ import annotations

from rayreward.errors import shown
from rayreward.instructions.finding import Finding


def end_phrase(text: str, *, end_phrase: str) -> Finding:
    """The phrase is the end, whatever its case; white space and double quotation marks may follow."""
    end = text.strip().strip('"')[-len(end_phrase) - 8 :].lower()  # a letter may have longer capitals
    return Finding(end.endswith(end_phrase.lower()), f"ends with {shown(end)}")


def quotation(text: str) -> Finding:
    """The whole response stands in double quotation marks."""
    bare = text.strip()
    is_wrapped = len(bare) > 1 and bare[0] == bare[-1] == '"'
    return Finding(is_wrapped, f"begins with {bare[:1]!r} and ends with {bare[-1:]!r}")
