"""Capital and small letters."""

from __future__ import annotations

import re

from rayreward.instructions.finding import Finding, Relation, compare
from rayreward.languages.detector import is_written_in

_TOKEN = re.compile(r"[^\s()\[\]{}<>;@#$%&?!:,\"\u201c\u201d\u2014]+")


def english_capital(text: str) -> Finding:
    """The response is in English and has no small letter."""
    if not text.isupper():
        return Finding(False, "not all letters are capitals")
    return _english(text, "all capitals")


def english_lowercase(text: str) -> Finding:
    """The response is in English and has no capital letter."""
    if not text.islower():
        return Finding(False, "not all letters are small")
    return _english(text, "all small letters")


def capital_word_frequency(text: str, *, capital_frequency: int, capital_relation: Relation) -> Finding:
    """Words in capitals occur often, or seldom, enough; one with hyphens or an apostrophe is one word."""
    count = sum(match[0].isupper() for match in _TOKEN.finditer(text))
    return compare(count, capital_relation, capital_frequency, "words in capitals")


def _english(text: str, letters: str) -> Finding:
    is_english = bool(is_written_in(text, "en", if_undecided=True))
    return Finding(is_english, f"{letters}, {'in English' if is_english else 'but not in English'}")
