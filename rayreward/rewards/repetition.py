"""A penalty for saying the same again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

from rayreward.errors import ConfigError, InvalidInputError
from rayreward.function import Isolation, RewardFunction
from rayreward.sample import Trajectory
from rayreward.types import RewardOutput

_MAX_UNITS = 2**18
"""Words, characters or tokens looked at, from the start: more than any response has that a trainer samples."""


class RepetitionReward(RewardFunction):
    """Minus the share of n-grams that have occurred before, times `max_penalty`. Range [-max_penalty, 0].

    ``-(1 - unique / total) * max_penalty``: "Demystifying Long Chain-of-Thought Reasoning", appendix C.2 (arXiv
    2502.03373), as in TRL's ``get_repetition_penalty_reward``, whose negative `max_penalty` is positive here. A
    response of fewer than `ngram_size` units has no penalty. 1 ms for 4,096 tokens.

    What games it: short responses, and paraphrase; it only takes away, so use it beside a reward for content.

    Args:
        ngram_size: units in a row.
        max_penalty: what repeating nothing else would cost.
        unit: "tokens" (the sample's token_ids), "words" (split at white space, whatever their case), "characters", or
            "auto": tokens where the sample carries them, else words.

    Raises:
        ConfigError: a size below 1, a negative penalty, or an unknown unit.

    Raises (as failures of the sample):
        invalid_input: tokens are asked for and the sample has no token_ids.

    Example:
        >>> RepetitionReward(ngram_size=2)(response="", token_ids=[5, 5, 5, 5, 5]).score
        -0.75
    """

    isolation: Isolation = "inline"
    deterministic = True
    name = "repetition"

    def __init__(
        self,
        ngram_size: int = 3,
        max_penalty: float = 1.0,
        *,
        unit: Literal["auto", "tokens", "words", "characters"] = "auto",
    ) -> None:
        if isinstance(ngram_size, bool) or not isinstance(ngram_size, int) or not 1 <= ngram_size <= 64:
            raise ConfigError(f"RepetitionReward(ngram_size={ngram_size!r}): 1 to 64 units in a row")
        if not 0 <= max_penalty < math.inf:
            raise ConfigError(
                f"RepetitionReward(max_penalty={max_penalty!r}): a number from 0 up (TRL's -1.0 is 1.0 here)"
            )
        if unit not in ("auto", "tokens", "words", "characters"):
            raise ConfigError(f"RepetitionReward(unit={unit!r}): known are 'auto', 'tokens', 'words' and 'characters'")
        self.ngram_size, self.max_penalty, self.unit = ngram_size, float(max_penalty), unit

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The penalty, and how many n-grams there are."""
        units = self._units(trajectory)[:_MAX_UNITS]
        total = len(units) - self.ngram_size + 1
        if total < 1:
            return RewardOutput(0.0, reason=f"{len(units)} units hold no {self.ngram_size}-gram")
        if isinstance(units, str):
            unique = len({units[at : at + self.ngram_size] for at in range(total)})
        else:
            unique = len(set(zip(*(units[at:] for at in range(self.ngram_size)), strict=False)))
        penalty = (1 - unique / total) * self.max_penalty
        return RewardOutput(0.0 - penalty, reason=f"{unique} of {total} {self.ngram_size}-grams are unique")

    def _units(self, trajectory: Trajectory) -> Sequence[Any]:
        if trajectory.token_ids is not None and self.unit in ("auto", "tokens"):
            return trajectory.token_ids
        if self.unit == "tokens":
            raise InvalidInputError("repetition of tokens needs the sample's token_ids, found none")
        if self.unit == "characters":
            return trajectory.response
        return trajectory.response.lower().split()
