"""What of a response is prose: code, formulas, addresses and tags have no language.

What arrives: any text. What leaves: the text with a space, or an empty line, for each of these. Linear in the text: a
mark that nothing closes is searched for once.
"""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?:https?://|www\.)\S+|(?<!\S)[\w.+-]{1,64}@[\w.-]+")
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_INLINE_FORMULA = re.compile(r"\$(?! )[^$\n]+(?<! )\$(?!\d)")  # "$5 and $10" is money
_TAG_OR_COMMAND = re.compile(r"</?[A-Za-z][^<>\n]{0,200}>|\\[A-Za-z]+")
_BLOCKS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"))


def prose_of(text: str) -> str:
    r"""`text` without code, formulas, addresses and tags.

    Example:
        >>> prose_of("See `x = 1` at https://example.org for\n```\nprint()\n```\n\\(a^2\\)").split()
        ['See', 'at', 'for']
    """
    text = _without_fences(text)
    for opening, closing in _BLOCKS:
        text = _without(text, opening, closing)
    for pattern in (_INLINE_CODE, _INLINE_FORMULA, _ADDRESS, _TAG_OR_COMMAND):
        text = pattern.sub(" ", text)
    return text


def _without_fences(text: str) -> str:
    """The lines outside of fences; one that nothing closes reaches to the end, as in Markdown."""
    if "```" not in text and "~~~" not in text:
        return text
    kept: list[str] = []
    fence = ""
    for line in text.split("\n"):
        mark = line.lstrip()[:3]
        if mark in ("```", "~~~") and fence in ("", mark):
            fence = "" if fence else mark
            kept.append("")
        elif not fence:
            kept.append(line)
    return "\n".join(kept)


def _without(text: str, opening: str, closing: str) -> str:
    """`text` without what lies between two marks."""
    kept: list[str] = []
    position = 0
    while True:
        start = text.find(opening, position)
        end = -1 if start < 0 else text.find(closing, start + len(opening))
        if end < 0:
            break
        kept += (text[position:start], " ")
        position = end + len(closing)
    return "".join((*kept, text[position:]))
