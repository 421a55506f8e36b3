"""Responses that have the sections asked for and none of the phrases forbidden."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rayreward.errors import ConfigError
from rayreward.function import Isolation, RewardFunction
from rayreward.rewards.keyword import checked_texts
from rayreward.types import MetricRewardOutput, RewardOutput, Trajectory


class FormatReward(RewardFunction):
    """The share of rules that a response keeps: each section present, each pattern absent. Range [0, 1].

    What games it: naming the sections and writing nothing in them. Patterns that repeat (``*``, ``+``, ``{…}``) can
    take for ever on a text that is made for it, so with one of those it runs in a process that can be killed.

    Args:
        required_sections: texts that must occur, whatever their case.
        forbidden_patterns: regular expressions that must not match, whatever the case.

    Raises:
        ConfigError: no rule at all, one that is no text, or a pattern that is no regular expression.

    Example:
        >>> FormatReward(required_sections=["Answer"])(response="Answer: 4").score
        1.0
    """

    isolation: Isolation = "inline"
    deterministic = True
    name = "format"

    def __init__(self, required_sections: Sequence[str] = (), forbidden_patterns: Sequence[str] = ()) -> None:
        if not required_sections and not forbidden_patterns:
            raise ConfigError("FormatReward needs required_sections or forbidden_patterns, found neither")
        self.required_sections = checked_texts("required_sections", required_sections)
        self.forbidden_patterns = checked_texts("forbidden_patterns", forbidden_patterns)
        if any(re.search(r"[*+{]", pattern) for pattern in self.forbidden_patterns):
            self.isolation = "process"
        try:
            self._forbidden = [re.compile(pattern, re.IGNORECASE) for pattern in self.forbidden_patterns]
        except re.error as error:
            raise ConfigError(f"forbidden_patterns: {error.pattern!r} is no regular expression: {error}") from None

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The share of rules kept; sections and forbidden phrases are its components."""
        text = trajectory.response.casefold()
        missing = [section for section in self.required_sections if section.casefold() not in text]
        found = [pattern.pattern for pattern in self._forbidden if pattern.search(trajectory.response)]
        metrics = {}
        if self.required_sections:
            share = 1.0 - len(missing) / len(self.required_sections)
            metrics["sections"] = MetricRewardOutput(share, f"missing: {', '.join(missing)}" if missing else None)
        if self._forbidden:
            share = 1.0 - len(found) / len(self._forbidden)
            metrics["forbidden"] = MetricRewardOutput(share, f"found: {', '.join(found)}" if found else None)
        rules = len(self.required_sections) + len(self._forbidden)
        return RewardOutput(1.0 - (len(missing) + len(found)) / rules, metrics)
