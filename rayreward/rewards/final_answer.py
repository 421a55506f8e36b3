"""Did the response reach the right final answer?"""

from __future__ import annotations

from rayreward.errors import InvalidInputError
from rayreward.function import Isolation, RewardFunction
from rayreward.grading.exact import compare
from rayreward.grading.extract import extract_last_answer, tidied
from rayreward.sample import Trajectory
from rayreward.types import RewardOutput

_MAX_SHOWN_CHARS = 200


class FinalAnswerReward(RewardFunction):
    r"""1 where the response's final answer equals the label, else 0: the light form of `MathReward`.

    The answer is the last of: ``\boxed{…}``, ``#### …``, a line ``A: …`` or ``Answer: …``, ``the answer is …``. It is
    compared exactly (`rayreward.grading.exact`), in microseconds, inline and without math-verify: what exact
    arithmetic cannot prove scores 0. A response without any of these forms scores 0, and the reason says so. What
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
        gold = extract_last_answer(str(trajectory.label))
        wanted = tidied(str(trajectory.label)) if gold is None else gold.text
        if not wanted:
            raise InvalidInputError(
                f"final_answer needs a label with the right answer, found {str(trajectory.label)!r:.80}"
            )
        found = extract_last_answer(trajectory.response)
        if found is None or not found.text:
            return RewardOutput(0.0, reason=f"no final answer found; wanted {wanted:.{_MAX_SHOWN_CHARS}}")
        is_equal = not found.excess_chars and compare(wanted, found.text).is_equal
        answers = f"answered {found.text:.{_MAX_SHOWN_CHARS}}; wanted {wanted:.{_MAX_SHOWN_CHARS}}"
        return RewardOutput(float(bool(is_equal)), reason=answers)
