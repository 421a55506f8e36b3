r"""The final answer of a response.

What arrives: a response, and the forms to look for in order of preference. What leaves: the text of the answer in the
first form that is found, of that form the last one; or nothing. Time is linear in the response, and what is looked at
is bounded: an answer is short, and a megabyte in a box is none.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, get_args

Form = Literal["boxed", "hashes", "answer", "last_number"]
"""``\boxed{…}`` or ``\fbox{…}``; ``#### …``; ``the answer is …``, a line ``Answer: …`` or ``Final answer: …``; the last
number of all."""

FORMS: tuple[Form, ...] = get_args(Form)
DEFAULT_FORMS: tuple[Form, ...] = ("boxed", "hashes", "answer")

MAX_ANSWER_CHARS = 1_000
"""Of an answer, spaces that only repeat not counted. The longest of MATH and OlympiadBench have 300."""

_MAX_RAW_CHARS = 200_000
"""Of a box that may shrink to an answer when its spaces go."""

_MAX_BOXES = 16
"""Boxes that are compared with each other."""

_MAX_HEADING = 60
"""Characters of a line that is nothing but ``Final answer:``."""

_MAX_BELOW = 1_000
"""Characters behind such a line, in which the answer begins."""

_MAX_TRIES = 64
"""Times that the word box is looked at, from the end, for a box that closes."""

_NUMBERS_WITHIN_CHARS = 20_000
"""Of a response's end, in which its last number is looked for."""

_BOX = re.compile(r"\\(?:boxed|fbox)(?:\s{0,8}(?:\{|(?=\d))|\s{1,8}(?=[A-Za-z]))(?P<bare>(?<!\{)(?:\d+|[A-Za-z]))?")
_HASHES = re.compile(r"####[ \t]{0,20}([^\n]{1,1000})")
_LINE = re.compile(
    r"[ \t*#>]{0,20}(?:(?:the[ \t]{1,4})?final[ \t]{1,4}answer|A(?:nswer)?)[ \t*]{0,20}:[ \t*]{0,20}([^\n]{1,1000})",
    re.IGNORECASE,
)
_SAID = re.compile(r"answer[ \t]{1,20}is[ \t]{0,20}:?[ \t]{0,20}([^\n]{1,1000})", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d{1,3}(?:,\d{3}){1,20}|\d{1,400})(?:\.\d{1,400})?(?:/\d{1,400})?(?![\w])%?")
_HEADING = re.compile(
    r"[ \t]{0,20}(?:[*#]{1,6}[ \t]{0,4})?"
    r"(?:(?:the[ \t]{1,4})?final[ \t]{1,4}answer|(?:(?<=#)|(?<=# ))answer|answer(?=[ \t]{0,4}[:*]))[ \t*:]{0,20}",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"\s(?:because|since|where|which)\s|,\s(?:as|so|because|since|where|which|and so)\s")
_SHOUTED = re.compile(r"(?<=[a-z]{3})!\s{0,9}$")
_LAYOUT_SIGNS = " \t\r$\\[]`*"
_SENTENCE_END = re.compile(r"\.\s")
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
_SPACES = re.compile(r"\s{2,}|[\t\n\r\f\v]")


class Extracted(NamedTuple):
    """What was found.

    Attributes:
        text: the answer, tidied.
        form: the form it was found in.
        excess_chars: how long it is, where that is more than an answer may have; `text` is cut then.
    """

    text: str
    form: Form
    excess_chars: int = 0


class _Found(NamedTuple):
    """Where a form stands in a response, and what it holds."""

    start: int
    raw: str


def extract_answer(response: str, forms: Sequence[Form] = DEFAULT_FORMS) -> Extracted | None:
    r"""The answer of a response, None where it has none of the forms.

    Example:
        >>> extract_answer(r"so \boxed{12.}").text, extract_answer("#### 7\n\\boxed{\\frac{1}{2}}").text
        ('12', '\\frac{1}{2}')
        >>> extract_answer("It is 7."), extract_answer("It is 7.", ["last_number"]).text
        (None, '7')
    """
    for form in forms:
        found = _FINDERS[form](response)
        if found is not None:
            return _extracted(found.raw, form)
    return None


def extract_last_answer(response: str) -> Extracted | None:
    r"""The answer that stands last in a response, whichever of the marked forms it has.

    Example:
        >>> extract_last_answer("\\boxed{1} but\n#### 2").text
        '2'
    """
    found = {form: _FINDERS[form](response) for form in DEFAULT_FORMS}
    last = max(found, key=lambda form: -1 if (one := found[form]) is None else one.start)
    answer = found[last]
    return None if answer is None else _extracted(answer.raw, last)


def _extracted(raw: str, form: Form) -> Extracted:
    text = tidied(raw)
    if len(text) > len("answer is") and (said := _SAID.search(text, 0, MAX_ANSWER_CHARS)) is not None:
        inside = said.group(1)
        text = tidied(inside[1:] if inside.startswith("}") else inside)  # \text{The answer is } 5
    return Extracted(text[:MAX_ANSWER_CHARS], form, len(text) if len(text) > MAX_ANSWER_CHARS else 0)


def tidied(answer: str) -> str:
    r"""An answer without what stands around it: spaces, a closing full stop, emphasis, a pair of ``$``.

    Example:
        >>> tidied(" **$12$**. ")
        '12'
    """
    text = answer[:_MAX_RAW_CHARS].strip()
    if text.isalnum():
        return text
    text, before = _SPACES.sub(" ", text), None
    while before != text and _may_be_framed(text):
        before = text
        text = text.strip(' *`"').rstrip(".,;:")
        if text.endswith("\\"):  # of a "\ " or "\,"
            text = text.rstrip("\\")
        for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
            if len(text) > len(opening) + len(closing) and text.startswith(opening) and text.endswith(closing):
                inside = text[len(opening) : -len(closing)]
                if opening not in inside:
                    text = inside
    return text


def _may_be_framed(text: str) -> bool:
    """Whether `tidied` may find something to take away: mostly there is nothing, and it need not try."""
    if not text:
        return False
    first, last = text[0], text[-1]
    return first in ' *`"' or last in ' *`".,;:\\' or (first in "$\\" and last in "$)]")


def boxes(response: str) -> list[str]:
    """All boxes that close, tidied, the last first; sixteen at most."""
    return [tidied(found.raw) for found in itertools.islice(_boxes_from_the_end(response), _MAX_BOXES)]


def _last_box(response: str) -> _Found | None:
    return next(_boxes_from_the_end(response), None)


def _boxes_from_the_end(response: str) -> Iterator[_Found]:
    end = len(response)
    for _ in range(_MAX_TRIES):
        end = response.rfind("box", 0, end)  # one search for both names: the box is near the end, or there is none
        if end < 0:
            return
        if response.startswith("\\boxed{", max(0, end - 1)):
            start, inside = end - 1, _inside(response, end + len("boxed{"))  # as mostly
        else:
            start = end - 1 if response.startswith("\\boxed", max(0, end - 1)) else end - 2
            if start < 0 or not response.startswith(("\\boxed", "\\fbox"), start):
                continue
            opened = _BOX.match(response, start)
            if opened is None:
                continue
            inside = _inside(response, opened.end()) if opened["bare"] is None else opened["bare"]
        if inside is not None:
            yield _Found(start, inside)


def _inside(response: str, begin: int) -> str | None:
    """What stands from there to the brace that closes."""
    closed = response.find("}", begin, begin + _MAX_RAW_CHARS)
    if closed < 0:
        return None
    if response.find("{", begin, closed) < 0 and response[closed - 1] != "\\":
        return response[begin:closed]  # nothing is nested, as mostly
    depth = 1
    for found in _BRACES.finditer(response, begin, begin + _MAX_RAW_CHARS):
        depth += {"{": 1, "}": -1}.get(found.group(), 0)
        if not depth:
            return response[begin : found.start()]
    return None


def _last_hashes(response: str) -> _Found | None:
    start = response.rfind("####")
    found = _HASHES.match(response, start) if start >= 0 else None
    if found is None or found.group(1).strip(" \t#*") == "":
        return None
    return _Found(start, _boxed_inside(found.group(1)))


def _last_statement(response: str) -> _Found | None:
    start = len(response) + 1
    while start > 0:  # line by line from the end: ten times faster than one search from the beginning
        end, start = start - 1, response.rfind("\n", 0, start - 1) + 1
        line = response[start:end]
        found = _LINE.match(line) if ":" in line else None
        if "nswer" in line or "NSWER" in line:
            if found is None:
                found = _SAID.search(line, max(0, line.lower().rfind("answer is")))
            is_bare = len(line) < _MAX_HEADING and (found is None or not found.group(1).strip(" \t*"))
            if is_bare and _HEADING.fullmatch(line) and (below := _line_below(response, end)):
                return _Found(start, _boxed_inside(below))  # "Final answer:" is a line of its own
        if found is not None and (said := found.group(1)).strip(" \t*"):
            if "." in said:
                said = _SENTENCE_END.split(said, maxsplit=1)[0]
            if " " in said and "box" not in said:
                said = _SHOUTED.sub("", _CLAUSE.split(said, maxsplit=1)[0])
            return _Found(start + found.start(), _boxed_inside(said) if "box" in said else said)
        if not start:
            return None
    return None


def _line_below(response: str, at: int) -> str:
    """The first line from there on that holds more than layout, of the next few; empty where there is none."""
    for line in response[at : at + _MAX_BELOW].split("\n", 8)[:8]:
        if line.strip(_LAYOUT_SIGNS):
            return line
    return ""


def _boxed_inside(text: str) -> str:
    inside = _last_box(text) if "box" in text else None
    return text if inside is None else inside.raw


def _last_number(response: str) -> _Found | None:
    last = None
    for found in _NUMBER.finditer(response[-_NUMBERS_WITHIN_CHARS:]):
        last = found
    return None if last is None else _Found(max(0, len(response) - _NUMBERS_WITHIN_CHARS) + last.start(), last.group())


_FINDERS: dict[Form, Callable[[str], _Found | None]] = {
    "boxed": _last_box,
    "hashes": _last_hashes,
    "answer": _last_statement,
    "last_number": _last_number,
}
