"""How many words, sentences and paragraphs a response has."""

from __future__ import annotations

import re

from rayreward.instructions.finding import Finding, Relation, compare
from rayreward.instructions.sentences import count_sentences

_WORD = re.compile(
    r"[\w\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u06d6-\u06dc\u0900-\u0963\u0966-\u0df3"
    r"\u0e31-\u0e4e\u0eb1-\u0ecd\u1000-\u109f\u1780-\u17d3\u200c\u200d]+"
)
"""Letters, digits, and the vowel signs and accents that belong to them; Python's ``\\w`` ends a Hindi word at each."""

_FIRST_WORD = re.compile(r"['\"]*([^\s.,?!'\"]*)")
_DIVIDER = "***"


def number_words(text: str, *, num_words: int, relation: Relation) -> Finding:
    """There are enough, or few enough, runs of letters and digits."""
    return compare(len(_WORD.findall(text)), relation, num_words, "words")


def number_sentences(text: str, *, num_sentences: int, relation: Relation) -> Finding:
    """There are enough, or few enough, sentences; see `rayreward.instructions.sentences`."""
    return compare(count_sentences(text), relation, num_sentences, "sentences")


def number_paragraphs(text: str, *, num_paragraphs: int) -> Finding:
    """There are exactly so many paragraphs with ``***`` between them; none of them is empty."""
    parts = [part.strip() for part in text.split(_DIVIDER)]
    if not all(parts[1:-1]):
        return Finding(False, f"nothing between two dividers {_DIVIDER}")
    count = sum(map(bool, parts))
    return Finding(count == num_paragraphs, f"{count} paragraphs; wanted {num_paragraphs}")


def nth_paragraph_first_word(text: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> Finding:
    """There are exactly so many paragraphs with empty lines between them, and one of them begins with a word."""
    paragraphs = [part.strip() for part in text.split("\n\n") if part.strip()]
    found = f"{len(paragraphs)} paragraphs; wanted {num_paragraphs}"
    if not 1 <= nth_paragraph <= len(paragraphs):
        return Finding(False, found)
    match = _FIRST_WORD.match(paragraphs[nth_paragraph - 1])
    word = match[1].lower() if match else ""
    is_followed = len(paragraphs) == num_paragraphs and word == first_word.lower()
    return Finding(is_followed, f"{found}; the {nth_paragraph}. begins with {word!r:.80}; wanted {first_word!r:.80}")
