"""Marks that a response has to avoid."""

from __future__ import annotations

from rayreward.instructions.finding import Finding


def no_comma(text: str) -> Finding:
    """There is no comma."""
    count = text.count(",")
    return Finding(count == 0, f"{count} commas")
