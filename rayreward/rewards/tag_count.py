"""Partial credit for tags: how many of those expected occur exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from rayreward.errors import ConfigError
from rayreward.function import Isolation, RewardFunction
from rayreward.rewards.format import checked_tags
from rayreward.sample import Trajectory
from rayreward.thinking import opens_thinking
from rayreward.types import RewardOutput


class TagCountReward(RewardFunction):
    r"""The share of opening and closing tags that occur exactly once. Range [0, 1]; for two tags in steps of 1/4.

    Where a strict format is never hit by chance, this leads to it: each tag counts by itself, wherever it stands.

    Source: ``tag_count_reward`` of open-r1 (github.com/huggingface/open-r1, src/open_r1/rewards.py), after a gist of
    willccbb; with ``own_lines=True`` the numbers are open-r1's. Cost: 4 us for 250 words, linear in their number. What
    games it: the tags alone, in any order, with nothing in them; `format` is the reward that sees that.

    Args:
        tags: names, such as ``["think", "answer"]``; ``<name>`` and ``</name>`` are expected of each.
        own_lines: whether a tag only counts with new lines around it, as open-r1 wants them: none is needed before the
            first tag or behind the last.
        prefilled_think: whether the prompt has opened the first tag, ``think``, so that it counts as there; "auto":
            where the prompt ends in ``<think>``.

    Raises:
        ConfigError: no tag, one that is no name or named twice, or ``prefilled_think=True`` without ``think``.

    Example:
        >>> TagCountReward()(response="<think>2 + 2</think> <answer>4").score
        0.75
    """

    isolation: Isolation = "inline"
    deterministic = True
    name = "tag_count"

    def __init__(
        self,
        tags: Sequence[str] = ("think", "answer"),
        *,
        own_lines: bool = False,
        prefilled_think: Literal["auto"] | bool = "auto",
    ) -> None:
        self.tags = checked_tags("TagCountReward", tags, prefilled_think)
        if not self.tags:
            raise ConfigError("TagCountReward needs tags, names such as 'think'; found none")
        self.own_lines, self.prefilled_think = bool(own_lines), prefilled_think
        self._expected = [tag for name in self.tags for tag in (f"<{name}>", f"</{name}>")]

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The share, and the tags that are missing or occur more than once."""
        response = f"<think>\n{trajectory.response}" if self._is_prefilled(trajectory.prompt) else trajectory.response
        last = len(self._expected) - 1
        faults = []
        for at, tag in enumerate(self._expected):
            before, behind = ("\n" if at else "", "\n" if at < last else "") if self.own_lines else ("", "")
            count = response.count(f"{before}{tag}{behind}")
            if count != 1:
                faults.append(f"{tag} {count} times")
        return RewardOutput(1.0 - len(faults) / len(self._expected), reason=", ".join(faults) or "each tag once")

    def _is_prefilled(self, prompt: str) -> bool:
        if self.prefilled_think != "auto":
            return self.prefilled_think
        return self.tags[0] == "think" and opens_thinking(prompt)
