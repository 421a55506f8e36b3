"""A penalty for responses that come near the length at which they are cut."""

from __future__ import annotations

from rayreward.errors import ConfigError
from rayreward.function import Isolation, RewardFunction
from rayreward.lengths import LengthCounter, LengthUnit
from rayreward.sample import Trajectory
from rayreward.types import RewardOutput


class OverlongReward(RewardFunction):
    """0 up to ``max_length - cache_length``, then falling in a line, -1 beyond `max_length`. Range [-1, 0].

    DAPO's soft overlong punishment (arXiv 2503.14476, eq. 13), as in TRL's ``get_soft_overlong_punishment``. 1 us where
    the sample carries its token ids.

    What games it: nothing that is short; it only takes away, so use it beside a reward for content. In words and
    characters, text without spaces or in long words is shorter than its tokens.

    Args:
        max_length: L_max: in units; what the trainer lets a response be at most.
        cache_length: L_cache: over how many units before that the penalty grows; 0 for a sudden one.
        unit: "tokens", "words" (split at white space) or "characters".
        tokenizer: with tokens, a Hugging Face name or folder that counts where a sample carries no token_ids.

    Raises:
        ConfigError: lengths that do not fit, an unknown unit, a tokenizer without tokens, or without transformers.

    Raises (as failures of the sample):
        invalid_input: tokens are asked for, the sample has no token_ids, and no tokenizer is configured.

    Example:
        >>> OverlongReward(max_length=100, cache_length=20)(response="", token_ids=[1] * 90).score
        -0.5
    """

    isolation: Isolation = "inline"
    deterministic = True
    name = "overlong"

    def __init__(
        self,
        max_length: int,
        cache_length: int,
        *,
        unit: LengthUnit = "tokens",
        tokenizer: str | None = None,
    ) -> None:
        if not all(isinstance(length, int) and not isinstance(length, bool) for length in (max_length, cache_length)):
            raise ConfigError(f"OverlongReward needs whole lengths, found {max_length!r} and {cache_length!r}")
        if not 0 <= cache_length <= max_length or not max_length:
            raise ConfigError(
                f"OverlongReward needs 0 <= cache_length <= max_length, found {cache_length} and {max_length}"
            )
        self._counter = LengthCounter(unit, asked_by="OverlongReward", tokenizer=tokenizer)
        if tokenizer is not None:
            self.isolation = "process"  # a tokenizer takes a second for a million characters
        self.max_length, self.cache_length, self.unit, self.tokenizer = max_length, cache_length, unit, tokenizer

    def load(self) -> None:
        """Load the tokenizer, where one is asked for."""
        self._counter.load()

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The penalty, and the length."""
        length = self._counter.length_of(trajectory)
        free = self.max_length - self.cache_length
        if length <= free:
            score = 0.0
        elif length <= self.max_length:
            score = (free - length) / self.cache_length
        else:
            score = -1.0
        return RewardOutput(score, reason=f"{length} {self.unit}, free up to {free}, cut at {self.max_length}")
