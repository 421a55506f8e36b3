"""How many sentences a text has.

What arrives: any text. What leaves: a number. A sentence ends at ``.``, ``?``, ``!`` or ``…`` before white space or the
text's end, or at its Chinese, Hindi, Arabic or Urdu counterpart; the end of a line alone ends none. Dots of titles and
abbreviations, initials and list numbers end none either, and what holds no letter or digit is none. Linear in the text.
"""

from __future__ import annotations

import re

_END = re.compile(
    r"(?<![.!?\u2026])(?P<mark>[.!?\u2026]++)[\"'\u201d\u2019)\]}*_`]*+(?=\s|$)"  # possessive: nothing is tried twice
    r"|(?P<wide>[\u3002\uff01\uff1f\u0964\u0965\u061f\u06d4])"
)
_HAS_WORD = re.compile(r"\w")
_NEXT = re.compile(r"[\s\"'\u201c\u2018(\[*_#>-]*+(?P<word>\w*+)")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)*[^\W\d_]")

_LONGEST_ABBREVIATION = 16
"""Characters looked at before a dot; longer words are no abbreviations."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_NEVER_LAST = _words(
    "mr mrs ms dr prof st rev hon gen col maj capt cpt lt sgt sen rep gov pres mt messrs vs e.g i.e cf viz fig "
    "figs vol pp ca approx"
)
"""What stands before these dots needs something after it."""

_SOMETIMES_LAST = _words(
    "etc inc ltd co corp jr sr bros a.m p.m ph.d u.s u.k u.n u.s.a d.c b.c a.d no nos ed eds dept univ ave blvd jan "
    "feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun"
)
"""These dots end a sentence where a word begins the next that usually begins one."""

_BEGINNERS = _words(
    "a an the this that these those he she it they we you i his her its their our my your but and so however then "
    "there here if when while as in on at for after before what who why how where"
)


def count_sentences(text: str) -> int:
    r"""The number of sentences of `text`.

    Example:
        >>> count_sentences("Dr. No met J. Bond at 5.30 p.m. It was late!\n1. Was it?"), count_sentences("no dot")
        (3, 1)
    """
    count = start = 0
    for match in _END.finditer(text):
        if match["wide"] is None and not _ends_sentence(text, match):
            continue
        count += _HAS_WORD.search(text, start, match.end()) is not None
        start = match.end()
    return count + (_HAS_WORD.search(text, start) is not None)


def _ends_sentence(text: str, end: re.Match[str]) -> bool:
    mark, position = end["mark"], end.start()
    if "!" in mark or "?" in mark:
        return True
    following = _NEXT.match(text, end.end())
    word = following["word"] if following else ""
    if mark != ".":
        return not word or word[0].isupper()
    before = text[max(0, position - _LONGEST_ABBREVIATION) : position].rsplit(None, 1)
    last = before[-1].lstrip("\"'\u201c\u2018([*_") if before else ""
    if not last:
        return True
    if _is_list_number(text, position, last, word) or last.lower() in _NEVER_LAST:
        return False
    if last.lower() in _SOMETIMES_LAST or (_INITIALS.fullmatch(last) and last != "I"):
        return not word or (word[0].isupper() and word.lower() in _BEGINNERS)
    return True


def _is_list_number(text: str, position: int, last: str, following: str) -> bool:
    """Whether `last` is a number or a single letter at the beginning of a line, or a number before a small letter."""
    if last.isdecimal() and following[:1].islower():
        return True
    if not (last.isdecimal() or len(last) == 1):
        return False
    line_start = max(text.rfind("\n", position - _LONGEST_ABBREVIATION, position) + 1, 0)
    return not _HAS_WORD.search(text, max(line_start, position - _LONGEST_ABBREVIATION), position - len(last))
