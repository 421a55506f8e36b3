"""Did the response reach the right final answer?"""

from __future__ import annotations

import re
from fractions import Fraction

from rayreward.errors import InvalidInputError
from rayreward.function import Isolation, RewardFunction
from rayreward.types import RewardOutput, Trajectory

_MAX_CHARS = 200
"""An answer is short; longer captures are prose, and digits beyond this only cost time."""

_MARKERS = re.compile(
    r"####[ \t]*(?P<hashes>[^\n]{1,200})"
    r"|(?:^|\n)[ \t]*A(?:nswer)?[ \t]*:[ \t]*(?P<line>[^\n]{1,200})"
    r"|(?:final[ \t]+)?answer[ \t]+is[ \t]*:?[ \t]*(?P<said>[^\n]{1,200})",
    re.IGNORECASE,
)
_BOXED = re.compile(r"\\boxed\{([^{}]{1,200})\}")
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:\s*/\s*\d+)?|[-+]?\.\d+")


class FinalAnswerReward(RewardFunction):
    r"""1 where the response's final answer equals the label, else 0.

    The answer is the last of: ``\boxed{…}``, ``#### …``, a line ``A: …`` or ``Answer: …``, ``the answer is …``.
    Numbers compare as exact fractions (``1,000`` = ``1000.0``, ``1/2`` = ``0.5``); other answers as text, whatever
    their case. A response without any of these forms scores 0, and the reason says so. What games it: nothing short
    of the answer, but a label that is easy to guess is guessed.

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
    for match in _BOXED.finditer(text):
        if match.start() > position:
            last, position = match.group(1), match.start()
    if last is None:
        return None
    boxed = _BOXED.search(last)
    return (boxed.group(1) if boxed else last).strip()


def normalise_answer(answer: str) -> Fraction | str:
    """A number as a fraction where the answer holds exactly one, else its text without case, spaces and final dots."""
    short = answer[:_MAX_CHARS].replace("\\$", "$").replace("\N{MINUS SIGN}", "-")
    numbers = _NUMBER.findall(short)
    if len(numbers) == 1:
        try:
            return Fraction(numbers[0].replace(",", "").replace(" ", ""))
        except (ValueError, ZeroDivisionError):
            pass  # "1/0" is no number: compare it as text
    return " ".join(short.casefold().strip(" .$\t").split())
