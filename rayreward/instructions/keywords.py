"""Words and letters that a response has to use, or to avoid. Keywords are plain text, whatever their case."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rayreward.instructions.finding import Finding, Relation, compare


def keywords_exist(text: str, *, keywords: Sequence[str]) -> Finding:
    """Every keyword occurs, also inside other words."""
    lowered = text.lower()
    missing = [keyword for keyword in keywords if keyword.lower() not in lowered]
    return Finding(not missing, f"missing: {', '.join(missing)}" if missing else "all keywords found")


def keyword_frequency(text: str, *, keyword: str, frequency: int, relation: Relation) -> Finding:
    """A keyword occurs often, or seldom, enough; also inside other words."""
    return compare(text.lower().count(keyword.lower()), relation, frequency, f"times {keyword!r}")


def forbidden_words(text: str, *, forbidden_words: Sequence[str]) -> Finding:
    """None of the words occurs as a whole word."""
    found = [word for word in forbidden_words if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)]
    return Finding(not found, f"found: {', '.join(found)}" if found else "no forbidden word found")


def letter_frequency(text: str, *, letter: str, let_frequency: int, let_relation: Relation) -> Finding:
    """A letter, or another single character, occurs often, or seldom, enough; whatever its case."""
    return compare(text.lower().count(letter), let_relation, let_frequency, f"times {letter!r}")
