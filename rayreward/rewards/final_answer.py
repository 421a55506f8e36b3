"""Did the response reach the right final answer?"""

from __future__ import annotations

import re
from fractions import Fraction

from rayreward.errors import InvalidInputError
from rayreward.function import Isolation, RewardFunction
from rayreward.types import RewardOutput, Trajectory

_MAX_CHARS = 200
"""An answer is short; longer captures are prose, and digits beyond this only cost time."""

_MAX_BOXES = 16
"""Boxes looked at from the end of a response, for one that closes; more of them only cost time."""

_MARKERS = re.compile(
    r"####[ \t]*(?P<hashes>[^\n]{1,200})"
    r"|(?:^|\n)[ \t]*A(?:nswer)?[ \t]*:[ \t]*(?P<line>[^\n]{1,200})"
    r"|(?:final[ \t]+)?answer[ \t]+is[ \t]*:?[ \t]*(?P<said>[^\n]{1,200})",
    re.IGNORECASE,
)
_BOXED = "\\boxed{"
_SENTENCE_END = re.compile(r"\.\s")
_FRACTION = re.compile(r"(?P<sign>-?)\s*(?P<whole>\d*)\s*\\[dt]?frac\{(?P<above>\d+)\}\{(?P<below>\d+)\}")
_NUMBER = re.compile(
    r"(?:[a-z]\w*\s*=\s*)?"  # a name: x = 5
    r"(?P<number>[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?|[-+]?\.\d+)"
    r"\s?%?(?:\s+[^\d\\^=+*]*)?",  # a unit: 5 %, 18 eggs; in 2x, 3\pi and \sqrt{3} the number is not all
    re.IGNORECASE,
)


class FinalAnswerReward(RewardFunction):
    r"""1 where the response's final answer equals the label, else 0.

    The answer is the last of: ``\boxed{…}``, ``#### …``, a line ``A: …`` or ``Answer: …``, ``the answer is …``.
    Numbers, also with a name or a unit, compare as exact fractions (``$1,000`` = ``1000.0``, ``1/2`` = ``0.5``); other
    answers as text, whatever their case. A response without any of these forms scores 0, and the reason says so. What
    games it: nothing short of the answer, but a label that is easy to guess is guessed.

    Raises (as failures of the sample):
        invalid_input: the label is missing or holds no answer.

    Example:
        >>> FinalAnswerReward()(response="16 - 7 = 9 eggs, 9 * 2 = 18.\n#### 18", label="18").score
        1.0
    """

    isolation: Isolation = "inline"
    deterministic = True
    name = "final_answer"

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """1 or 0, and both answers in the reason."""
        if trajectory.label is None or not str(trajectory.label).strip():
            raise InvalidInputError("final_answer needs a label with the right answer, found none")
        gold = str(trajectory.label)
        wanted = normalise_answer(extract_answer(gold) or gold)
        if wanted == "":
            raise InvalidInputError(f"final_answer needs a label with the right answer, found {gold!r:.80}")
        found = extract_answer(trajectory.response)
        if found is None:
            return RewardOutput(0.0, reason=f"no final answer found; wanted {wanted}")
        given = normalise_answer(found)
        return RewardOutput(float(given == wanted), reason=f"answered {given}; wanted {wanted}")


def extract_answer(text: str) -> str | None:
    r"""The last marked answer of a response, or None.

    Example:
        >>> extract_answer("so \\boxed{12}."), extract_answer("The answer is 7."), extract_answer("seven")
        ('12', '7.', None)
    """
    last, position = None, -1
    for match in _MARKERS.finditer(text):
        last, position = next(group for group in match.groups() if group is not None), match.start()
    boxed = _last_boxed(text, after=position)
    if boxed is not None:
        return boxed.strip()
    return None if last is None else _SENTENCE_END.split(last)[0].strip()


def _last_boxed(text: str, *, after: int) -> str | None:
    """What the last box that begins behind `after` holds, braces inside it included."""
    start = len(text)
    for _ in range(_MAX_BOXES):
        start = text.rfind(_BOXED, after + 1, start)
        if start < 0:
            return None
        depth = 1
        inside = text[start + len(_BOXED) : start + len(_BOXED) + _MAX_CHARS + 1]
        for at, character in enumerate(inside):
            depth += {"{": 1, "}": -1}.get(character, 0)
            if not depth:
                return inside[:at]
    return None


def normalise_answer(answer: str) -> Fraction | str:
    """The fraction that the answer is where it is a number, else its text without case, spaces and final dots."""
    short = answer[:_MAX_CHARS].replace("\\$", "").replace("$", "").replace("\N{MINUS SIGN}", "-")
    short = short.lstrip(" *`\t\n").rstrip(" .*`\\\t\n")
    try:
        if found := _FRACTION.fullmatch(short):
            size = int(found["whole"] or 0) + Fraction(int(found["above"]), int(found["below"]))
            return -size if found["sign"] else size
        if found := _NUMBER.fullmatch(short):
            return Fraction("".join(found["number"].replace(",", "").split()))
    except (ValueError, ZeroDivisionError):
        pass  # "1/0" is no number: compare it as text
    return " ".join(short.casefold().split())
