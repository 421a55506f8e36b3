"""The form of a response: lists, highlights, sections, a title, JSON, or one of three answers."""

from __future__ import annotations

import json
import re
from typing import NoReturn

from rayreward.errors import shown
from rayreward.instructions.finding import Finding, compare

_OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_RULE = re.compile(r"(?:-[ \t]*+){3,}+|(?:\*[ \t]*+){3,}+")
_STAR_BULLET = re.compile(r"^[ \t]*\*[ \t]+", re.MULTILINE)
_HIGHLIGHT = re.compile(r"\*{1,3}[^\n*]+\*{1,3}")


def number_bullet_lists(text: str, *, num_bullets: int) -> Finding:
    """There are exactly so many bullet points: lines that begin with ``*`` or ``-`` and are no divider."""
    count = 0
    for line in text.split("\n"):
        bare = line.strip()
        if bare.startswith("-") or (bare.startswith("*") and bare[1:2] not in ("", "*")):
            count += not _RULE.fullmatch(bare)
    return Finding(count == num_bullets, f"{count} bullet points; wanted {num_bullets}")


def number_highlighted_sections(text: str, *, num_highlights: int) -> Finding:
    """There are at least so many highlights, ``*one*`` or ``**one**``; the star of a bullet point opens none."""
    plain = _STAR_BULLET.sub("", text)
    count = sum(bool(match[0].strip("*").strip()) for match in _HIGHLIGHT.finditer(plain))
    return compare(count, "at least", num_highlights, "highlights")


def multiple_sections(text: str, *, section_spliter: str, num_sections: int) -> Finding:
    """There are at least so many sections that the word and a number begin."""
    count = sum(1 for _ in re.finditer(rf"{re.escape(section_spliter)}\s?\d+", text))
    return compare(count, "at least", num_sections, f"sections {shown(section_spliter)}")


def title(text: str) -> Finding:
    """There is a title in double angular brackets."""
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if 0 <= start < end and line[start:end].strip("<> \t"):
            return Finding(True, f"title {shown(line[start : end + 2])}")
    return Finding(False, "no <<title>>")


def json_format(text: str) -> Finding:
    """The whole response is JSON, in a fence or without one."""
    bare = text.strip()
    if bare.startswith("```"):
        bare = bare[3:]
        bare = bare[4:] if bare[:4].lower() == "json" else bare
    try:
        json.loads(bare.removesuffix("```").strip(), parse_constant=_refuse_constant)
    except ValueError as error:
        return Finding(False, f"no JSON: {error!s:.80}")
    except RecursionError:
        return Finding(False, "no JSON that can be read: nested too deeply")
    return Finding(True, "JSON")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def constrained_response(text: str) -> Finding:
    """One of the three answers occurs, and no other of them."""
    found = [option for option in _OPTIONS if option in text]
    return Finding(len(found) == 1, f"found: {' '.join(found) or 'none of the three answers'}")
