"""Responses that choose the right one of several options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rayreward.errors import ConfigError, InvalidInputError, shown
from rayreward.function import Isolation, RewardFunction
from rayreward.grading.extract import boxes
from rayreward.sample import Trajectory
from rayreward.toolcalls.detect import without_thoughts
from rayreward.types import RewardOutput

_MAX_CHARS = 300
"""Of a line or a box in which an answer is looked for: an option's text is short."""

_MAX_STATEMENTS = 64
"""Of one kind, counted from the end; more of them only cost time."""

_STATEMENT = re.compile(
    r"(?:(?<![a-z])(?:answer|choice|option)[\"'*_ \t]{0,8}(?:[ \t](?:to|for)[ \t][^.:\n]{1,60}?[ \t])?"
    r"(?::|\uff1a|=|[-\u2013\u2014](?=[ \t])|is\b|would be\b|should be\b|must be\b)"
    r"|\bI(?:'d|'ll| will| would)? (?:choose|pick|select|go with)\b"
    r"|\u7b54\u6848[\u662f\u4e3a\u9009:\uff1a \t]{1,4}"
    r"|<answer>(?=[^<]{1,300}</answer>)"
    r"(?!\s{0,8}(?:the )?(?:final |correct )?answer\b))"
    r"[ \t]{0,8}:?[ \t*_]{0,8}(?:\n[ \t]{0,8}){0,2}"
    r"(?:(?:the|option|choice|letter|answer)[ \t]{1,4}){0,2}",
    re.IGNORECASE,
)

_VERDICT = re.compile(
    r"(?:^|[.,;:!?][ \t]|\b(?:[Oo]ption|[Cc]hoice|[Aa]nswer|[Ss]o|[Tt]hus|[Hh]ence|[Tt]herefore|[Cc]learly|that|and)"
    r"[ \t])"
    r"[(\[*_]{0,6}(?P<letter>[A-Z])[)\]*_`\"'$]{0,8} (?:is|must be|would be) (?:(?:therefore|thus|clearly|indeed) )?"
    r"(?:the (?:only )?)?(?:correct|right|best)\b",
    re.MULTILINE,
)
"""A letter that is said to be right: "(C) is the correct answer", "option C is correct"."""

_LATEX_TEXT = r"\\(?:(?:text|math)[a-z]{0,4}|boxed|operatorname|bf|rm)[ {]"

_LETTER = re.compile(
    rf"(?P<open>(?:[ \t*_`\"'$(\[{{]|{_LATEX_TEXT}|\\\(|\\\[){{0,12}})"
    r"(?P<letter>[A-Za-z])(?P<close>\\[)\]]|[)\]}*_`\"'$]{0,8})"
)

_WORDS_TOO = frozenset("AI")
"""Letters that are words of their own: a word behind them makes them one."""

_GOES_ON = re.compile(r"(?:because|since|as|for|which|based|due|given|and|or|is|with)\b", re.IGNORECASE)
"""What may follow such a letter where it is one."""

_JOINS = re.compile(r"(?:or|and)\b|[A-Z](?![a-zA-Z])")

_NEXT = re.compile(
    r"(?:[ \t,/&;|+()\[\]}*_$\"'`=>~\u2013\u2014\u2192-]|\\text\{"
    r"|\b(?:or|and|else|maybe|perhaps|possibly|probably|alternatively|then|plus|as well as|option|choice)\b){1,16}",
    re.IGNORECASE,
)
"""What stands between letters that are named together."""

_LEAD = re.compile(
    rf"(?:[ \t>#*_,:\u2234-]|{_LATEX_TEXT}|(?:option|choice|letter|so|thus|hence|therefore)\b){{0,12}}"
    r"(?=[^\w]{0,12}[A-Za-z](?!\w))",
    re.IGNORECASE,
)
"""What may stand in a line before its letter."""

_REASON = re.compile(r"[,:;.]?[ \t]{1,4}(?:because|since|as|due to)\b|[ \t]{1,4}[-\u2013\u2014][ \t]")
"""What tells a letter from a word where it begins a line."""

_SAYS_OF_IT = re.compile(
    r"[ \t]{1,4}(?:is|isn't|was|are|can|can't|cannot|could|may|might|must|has|have|does|doesn't|seems|would|and|or)\b"
)
"""A line goes on like this where it speaks about an option; it does not choose it."""

_LISTED = re.compile(r"^[ \t>*_(-]{0,8}([A-Z])[*_]{0,2}(?:[.):]|[ \t][-\u2013\u2014][ \t])", re.MULTILINE)
"""A line that begins with an option's letter."""

_MARKUP = re.compile(rf"{_LATEX_TEXT}|[*_`$\"'{{}}]")

_TEXT_AND_LETTER = re.compile(r"(?P<text>[^\n]{1,200}?)[ \t]{0,4}(?:,? option )?\(?(?P<letter>[A-Z])\)[ \t.*_]{0,8}\Z")


class Reading(NamedTuple):
    """The letter that a response chooses, or None and why."""

    letter: str | None
    reason: str


class MultipleChoiceReward(RewardFunction):
    r"""1 where the response chooses the label's option, else 0.

    The first of these that a response has, thoughts left out: ``\boxed{B}``; "the answer is B", "Answer: (B)", "the
    correct option is **B**", "I choose B", ``<answer>B</answer>``; a last line that is the letter (``B``, ``(B)``,
    ``B) Paris``, "B because …", "Option B") or an option's text; "(B) is the correct one"; such a line at the start.
    Where one kind names two letters ("B or C", "Answer: A … Answer: B"), none is chosen. A letter that is merely a word
    ("the answer is A dog") is none; nor is the last line of a list of options.

    The label is a letter ("B", "(B)"), a position counted from 0, or an option's text. Metadata's ``choices`` holds the
    texts: a list, ``{letter: text}``, or ``{"text": […], "label": […]}``. 20 us a sample of 300 characters, 0.1 s
    for a hostile million.

    What games it: guessing, which earns one in the number of options.

    Args:
        letters: those that options have, in their order; where `choices` is there, as many as it holds.

    Raises:
        ConfigError: letters that are no capital letters, or the same twice.

    Raises (as failures of the sample):
        invalid_input: no label, one that is no option, or choices of another shape.

    Example:
        >>> reward = MultipleChoiceReward()
        >>> reward(response="So the answer is **(B)**.", label="B").score
        1.0
        >>> reward(response="Answer: B or C", label="B").reason
        'names B and C; wanted B'
    """

    isolation: Isolation = "inline"
    deterministic = True
    name = "multiple_choice"

    def __init__(self, letters: str = "ABCDEFGHIJ") -> None:
        if not isinstance(letters, str) or not re.fullmatch("[A-Z]{2,26}", letters) or len(set(letters)) < len(letters):
            raise ConfigError(f"MultipleChoiceReward(letters={letters!r}): capital letters, such as 'ABCD'")
        self.letters = letters

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """1 or 0, and what was chosen."""
        options = read_options(trajectory.metadata.get("choices"), self.letters)
        wanted = _read_label(trajectory.label, options)
        reading = read_choice(without_thoughts(trajectory.response), options)
        return RewardOutput(float(reading.letter == wanted), reason=f"{reading.reason}; wanted {wanted}")


def read_options(choices: Any, letters: str) -> dict[str, str]:
    """The options' texts by letter; empty texts where they are not known.

    Raises:
        InvalidInputError: the choices are of another shape, or more than there are letters.

    Example:
        >>> read_options(["Rome", "Paris"], "ABCD")
        {'A': 'Rome', 'B': 'Paris'}
    """
    if choices is None:
        return dict.fromkeys(letters, "")
    if isinstance(choices, Mapping) and isinstance(choices.get("text"), (list, tuple)):
        named = choices.get("label") or letters[: len(choices["text"])]
        choices = dict(zip(named, choices["text"], strict=False)) if len(named) == len(choices["text"]) else None
    if isinstance(choices, (list, tuple)) and len(choices) <= len(letters):
        choices = dict(zip(letters, choices, strict=False))
    is_known = isinstance(choices, Mapping) and choices and all(re.fullmatch("[A-Za-z]", str(key)) for key in choices)
    if not is_known:
        raise InvalidInputError(
            f"choices must be a list of at most {len(letters)} texts or {{letter: text}}, found {shown(choices)}"
        )
    return {str(letter).upper(): str(text) for letter, text in choices.items()}


def read_choice(text: str, options: Mapping[str, str]) -> Reading:
    """The option that a response chooses.

    Example:
        >>> read_choice("The answer is A dog.", {"A": "", "B": ""}).letter is None
        True
    """
    for what, found in (("box", _boxed(text, options)), ("statement", _stated(text, options))):
        if found:
            return _reading(sorted(set().union(*found)), f"a {what}")
    lines = text.strip()
    for where, named in (
        ("the last line", _of_line(lines[-_MAX_CHARS:].rpartition("\n")[2].strip(), text, options)),
        ("a verdict", _verdicts(text, options)),
        ("the first line", _of_line(lines[:_MAX_CHARS].partition("\n")[0].strip(), text, options)),
    ):
        letters = sorted(named)
        if letters:
            return _reading(letters, where)
    return Reading(None, "no choice found")


def _reading(letters: Sequence[str], where: str) -> Reading:
    if len(letters) == 1:
        return Reading(letters[0], f"chose {letters[0]} in {where}")
    return Reading(None, f"names {' and '.join(letters)}")


def _boxed(text: str, options: Mapping[str, str]) -> list[set[str]]:
    """The letters of each box, of the last ones."""
    found = []
    for box in boxes(text):
        inside = box[:_MAX_CHARS]
        letters = _letters_at(inside, _behind_lead(inside), options) or _option_of(inside, options)
        if letters:
            found.append(letters)
    return found


def _stated(text: str, options: Mapping[str, str]) -> list[set[str]]:
    """The letters of each statement of an answer, of the last ones."""
    found = []
    for match in list(_STATEMENT.finditer(text))[-_MAX_STATEMENTS:]:
        said = text[match.end() : match.end() + _MAX_CHARS]
        letters = _letters_at(said, 0, options) or _option_of(said.partition("\n")[0], options)
        if letters:
            found.append(letters)
    return found


def _verdicts(text: str, options: Mapping[str, str]) -> set[str]:
    """The letters that are said to be right, in the last sentences that say so."""
    said = [match["letter"] for match in _VERDICT.finditer(text)][-_MAX_STATEMENTS:]
    return {letter for letter in said if letter in options}


def _behind_lead(line: str) -> int:
    lead = _LEAD.match(line)
    return lead.end() if lead else 0


def _of_line(line: str, text: str, options: Mapping[str, str]) -> set[str]:
    """The letters of a line of the text, where it is an answer and not a part of a list of options."""
    if named := _option_of(line, options):
        return named
    start = _behind_lead(line)
    match = _LETTER.match(line, start)
    if match is None:
        return set()
    rest = line[match.end() :]
    letters = _letters_at(line, start, options)
    is_alone = not rest.strip(" .*_") or len(letters) > 1
    if is_alone:
        return letters
    is_marked = line[match.end("letter") : match.end("letter") + 1] in (")", ".", ":") or match["close"] != ""
    has_reason = match["letter"].isupper() and _REASON.match(rest) is not None
    if not (is_marked or has_reason) or _SAYS_OF_IT.match(rest):
        return set()
    is_listed = len(set(_LISTED.findall(text[-100_000:]))) > 1
    if is_listed:
        return set()
    return letters or ({match["letter"].upper()} & options.keys() if has_reason else set())


def _letters_at(text: str, start: int, options: Mapping[str, str]) -> set[str]:
    """The letter that begins there, and those that "or", commas or spaces add to it."""
    letters: set[str] = set()
    for _ in options:
        match = _LETTER.match(text, start)
        if match is None or not _is_a_choice(match, text, options, is_alone=bool(letters)):
            break
        letters.add(match["letter"].upper())
        following = _NEXT.match(text, match.end())
        if following is None:
            break
        start = following.end()
    return letters


def _is_a_choice(match: re.Match[str], text: str, options: Mapping[str, str], *, is_alone: bool) -> bool:
    """Whether a letter is an option's, and no word or part of one; alone: no word may follow at all."""
    letter, rest = match["letter"], text[match.end() : match.end() + _MAX_CHARS]
    if letter.upper() not in options:
        return False
    if match["close"] and not is_alone:
        return not rest[:1].isalnum()  # as it is in "A's"
    if not rest or rest[0] in "\n/\\\u2013\u2014\u2192\u3002\uff01\uff0c\uff1b" or rest.startswith("</"):
        return True
    if rest[0] in ".,;:!?&":
        return not rest[1:2].isalnum()
    if not rest[0].isspace() and not match["close"]:
        return False
    word = rest.lstrip(" \t*_")
    if not word[:1].isalpha():
        return True
    if letter.islower() or is_alone:
        return is_alone and _JOINS.match(word) is not None
    return letter not in _WORDS_TOO or _GOES_ON.match(word) is not None


def _option_of(text: str, options: Mapping[str, str]) -> set[str]:
    """The option whose text this is."""
    if (both := _TEXT_AND_LETTER.match(text)) and _plain(options.get(both["letter"], "")) == _plain(both["text"]) != "":
        return {both["letter"]}
    plain = _plain(text)
    same = {letter for letter, option in options.items() if plain and _plain(option) == plain}
    return same if len(same) == 1 else set()


def _plain(text: str) -> str:
    return " ".join(_MARKUP.sub("", text[:_MAX_CHARS]).casefold().split()).strip(" .,;:!?()")


def _read_label(label: Any, options: Mapping[str, str]) -> str:
    if isinstance(label, int) and not isinstance(label, bool) and 0 <= label < len(options):
        return list(options)[label]
    if isinstance(label, str):
        if match := re.fullmatch(r"\s*\(?\s*([A-Za-z])\s*[).]?\s*", label):
            if match[1].upper() in options:
                return match[1].upper()
        elif named := _option_of(label, options):
            return named.pop()
    raise InvalidInputError(
        f"multiple_choice needs a label: one of {', '.join(options)}, a position from 0 or an option's text; "
        f"found {shown(label)}"
    )
