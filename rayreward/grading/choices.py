r"""Letters of multiple choice.

What arrives: an answer's text. What leaves: the letter that it chooses. ``C``, ``(C)``, ``\text{C}``, ``C.`` and
``\textbf{(C)}\ 12`` choose C; an answer with two such marks chooses none.
"""

from __future__ import annotations

import re
from functools import lru_cache

_FONT = re.compile(
    r"\\(?:text|textbf|textrm|textit|mathrm|mathbf|mbox|bf|rm|displaystyle|boldsymbol|large|Large)\b"
    r"|\\(?:text)?color\s?\{[^{}]{0,40}\}"
)
_LAYOUT = re.compile(r"\\[ ,;:!]|\\q?quad\b|\\left\b|\\right\b|[{}$*~]")
_ALONE = re.compile(r"(?:(?:option|choice|answer)\s*:?\s*)?[(\[]?\s?([A-Ja-j])\s?[)\]]?\s?[.:]?", re.IGNORECASE)
_WITH_VALUE = re.compile(r"(?:\(\s?([A-J])\s?\)|([A-J])\s?[.):](?=\s))\s?(\S.{0,200})")
_MARK = re.compile(r"\(\s?[A-J]\s?\)|\b[A-J]\s?[.)](?=\s)|\b(?:or|and|not)\b")
_LISTED = re.compile(r"\(?[A-J]\)?(?:\s?(?:,|;|&|and|, and)\s?\(?[A-J]\)?){1,9}")
_BEFORE_VALUE = re.compile(r"^(?:[\s.:)\]}$*~]|\\[ ,;:!])+")
_MAX_CHARS = 300

KEPT = 4_096
"""Answers whose letter is kept: gold ones come again and again."""


@lru_cache(maxsize=KEPT)
def chosen_letter(answer: str) -> str | None:
    r"""The letter that is the whole answer, in capitals.

    Example:
        >>> chosen_letter(r"\text{(C)}"), chosen_letter("c."), chosen_letter("2C"), chosen_letter("(A) or (B)")
        ('C', 'C', None, None)
    """
    found = _ALONE.fullmatch(_plain(answer))
    return found.group(1).upper() if found else None


@lru_cache(maxsize=KEPT)
def chosen_letters(answer: str) -> tuple[str, ...] | None:
    r"""The letters of an answer that lists several and nothing else, in order of the alphabet.

    Example:
        >>> chosen_letters(r"\text{(A), (C)}"), chosen_letters("C and A"), chosen_letters("A")
        (('A', 'C'), ('A', 'C'), None)
    """
    plain = _plain(answer)
    if not _LISTED.fullmatch(plain):
        return None
    return tuple(sorted(set(re.findall(r"\b[A-J]\b", plain))))


@lru_cache(maxsize=KEPT)
def letter_and_value(answer: str) -> tuple[str, str] | None:
    r"""A choice with its value behind it, None where there is no such thing or a second choice.

    Example:
        >>> letter_and_value(r"\textbf{(C)}\ 12"), letter_and_value("(C) 12 or (D) 13")
        (('C', '12'), None)
    """
    plain = _plain(answer)
    found = _WITH_VALUE.fullmatch(plain)
    if found is None or _MARK.search(found.group(3)):
        return None
    letter = found.group(1) or found.group(2)
    # The value as it was written: layout matters in mathematics.
    return letter, _BEFORE_VALUE.sub("", answer[answer.index(letter) + 1 :], count=1)


def _plain(answer: str) -> str:
    if len(answer) > _MAX_CHARS:
        return ""
    return " ".join(_LAYOUT.sub(" ", _FONT.sub(" ", answer)).split())
