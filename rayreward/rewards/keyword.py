"""Responses that use some words and avoid others."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rayreward.errors import ConfigError
from rayreward.function import Isolation, RewardFunction
from rayreward.types import MetricRewardOutput, RewardOutput, Trajectory


class KeywordReward(RewardFunction):
    """The share of required keywords present, plus bonuses, minus penalties, cut to [0, 1].

    Keywords match as whole words, whatever their case. Without required keywords the start is 0.5, so that bonus and
    penalty both show. What games it: listing the keywords.

    Args:
        required_keywords: each adds its share; `required` is another name.
        bonus_keywords: each present adds `bonus_weight`.
        penalty_keywords: each present takes `penalty_weight` away.

    Raises:
        ConfigError: no keyword at all, or one that is no text.

    Example:
        >>> KeywordReward(required=["because", "therefore"])(response="Because it rains.").score
        0.5
    """

    isolation: Isolation = "inline"
    deterministic = True
    name = "keyword"

    def __init__(
        self,
        required_keywords: Sequence[str] = (),
        bonus_keywords: Sequence[str] = (),
        penalty_keywords: Sequence[str] = (),
        *,
        required: Sequence[str] = (),
        bonus_weight: float = 0.1,
        penalty_weight: float = 0.1,
    ) -> None:
        self.required_keywords = [
            *checked_texts("required_keywords", required_keywords),
            *checked_texts("required", required),
        ]
        self.bonus_keywords = checked_texts("bonus_keywords", bonus_keywords)
        self.penalty_keywords = checked_texts("penalty_keywords", penalty_keywords)
        self.bonus_weight, self.penalty_weight = bonus_weight, penalty_weight
        if not (self.required_keywords or self.bonus_keywords or self.penalty_keywords):
            raise ConfigError("KeywordReward needs required_keywords, bonus_keywords or penalty_keywords; found none")

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The score, with what was found of each list as components."""
        found = {
            "required": _present(self.required_keywords, trajectory.response),
            "bonus": _present(self.bonus_keywords, trajectory.response),
            "penalty": _present(self.penalty_keywords, trajectory.response),
        }
        share = len(found["required"]) / len(self.required_keywords) if self.required_keywords else 0.5
        bonus, penalty = self.bonus_weight * len(found["bonus"]), -self.penalty_weight * len(found["penalty"])
        metrics = {
            name: MetricRewardOutput(score, f"found: {', '.join(found[name]) or 'none'}")
            for name, score in (("required", share), ("bonus", bonus), ("penalty", penalty))
        }
        return RewardOutput(min(1.0, max(0.0, share + bonus + penalty)), metrics)


def checked_texts(what: str, texts: Sequence[str]) -> list[str]:
    """`texts` as a list.

    Raises:
        ConfigError: one text instead of a list (its letters would be taken), an empty text, or no text.
    """
    if isinstance(texts, str) or not all(isinstance(text, str) and text for text in texts):
        raise ConfigError(f"{what} must be a list of texts that are not empty, found {texts!r:.80}")
    return list(texts)


def _present(keywords: Sequence[str], text: str) -> list[str]:
    return [word for word in keywords if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE)]
