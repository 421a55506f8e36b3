"""Responses that use some words and avoid others."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Literal, NamedTuple

from rayreward.errors import ConfigError, shown
from rayreward.function import Isolation, RewardFunction
from rayreward.sample import Trajectory
from rayreward.types import MetricRewardOutput, RewardOutput

_MAX_KEYWORDS, _MAX_CHARS = 1_000, 200
"""In all, and of one: more would cost seconds for a response of a million characters that is made for it."""

_MAX_INLINE = 32
"""Keywords that the event loop may look for: a hostile million characters take 10 ms for each, at most 150."""


_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese: no spaces stand between words, so each character may begin one."""

_IS_UNSPACED = re.compile(f"[{_UNSPACED}]")


class KeywordReward(RewardFunction):
    """The share of required keywords present, plus bonuses, minus penalties, cut to [0, 1].

    Keywords match as whole words, whatever their case; in Chinese, Thai and their kind, which have no spaces between
    words, wherever they stand. Without required keywords the start is 0.5, so that bonus and
    penalty both show. A forbidden keyword makes it 0, whatever else is there.

    Source: none; the keyword constraints of IFEval (arXiv 2311.07911) as a score, for those see
    `instruction_following`. Cost: 20 us for 250 words and four keywords, linear in both. What games it: listing the
    keywords; a range of counts limits that. With more than 32 keywords it runs in a process that can be killed.

    Args:
        required_keywords: each adds its share; `required` is another name.
        bonus_keywords: each present adds `bonus_weight`.
        penalty_keywords: each present takes `penalty_weight` away.
        forbidden_keywords: none may be present.
        counts: required too, by keyword: how often it must occur, as a number (at least) or two ([at least, at most]).
        require: what the required keywords add up to: their "share", or 1 where "all" or "any" are there, else 0.
        whole_words: whether a keyword inside a longer word is none.
        ignore_case: whether "Because" is "because"; by Unicode's case folding, so "STRASSE" is "straße" too.

    Raises:
        ConfigError: no keyword at all, one that is no text, more than 1,000 or longer than 200 characters, a count
            that is none, a weight that is no finite number, or an unknown `require`.

    Example:
        >>> KeywordReward(required=["because", "therefore"])(response="Because it rains.").score
        0.5
        >>> KeywordReward(counts={"tea": [1, 2]}, forbidden_keywords=["milk"])(response="Tea, tea and tea.").score
        0.0
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
        forbidden_keywords: Sequence[str] = (),
        counts: Mapping[str, int | Sequence[int]] | None = None,
        require: Literal["share", "all", "any"] = "share",
        whole_words: bool = True,
        ignore_case: bool = True,
    ) -> None:
        self.required_keywords = [
            *checked_texts("required_keywords", required_keywords),
            *checked_texts("required", required),
        ]
        self.bonus_keywords = checked_texts("bonus_keywords", bonus_keywords)
        self.penalty_keywords = checked_texts("penalty_keywords", penalty_keywords)
        self.forbidden_keywords = checked_texts("forbidden_keywords", forbidden_keywords)
        self.counts = _checked_counts({} if counts is None else counts)
        self.bonus_weight, self.penalty_weight = bonus_weight, penalty_weight
        if not all(
            isinstance(weight, (int, float)) and math.isfinite(weight) for weight in (bonus_weight, penalty_weight)
        ):
            raise ConfigError(
                f"KeywordReward needs finite weights, found {shown(bonus_weight)} and {shown(penalty_weight)}"
            )
        if require not in ("share", "all", "any"):
            raise ConfigError(f"KeywordReward(require={shown(require)}): known are 'share', 'all' and 'any'")
        self.require, self.whole_words, self.ignore_case = require, bool(whole_words), bool(ignore_case)
        lists = (self.required_keywords, self.bonus_keywords, self.penalty_keywords, self.forbidden_keywords)
        words = [word for words in (*lists, self.counts) for word in words]
        _check_size(words)
        if len(words) > _MAX_INLINE:
            self.isolation = "process"
        self._keywords = {word: self._keyword(word) for word in words}

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The score, with what was found of each list as components."""
        text = trajectory.response.casefold() if self.ignore_case else trajectory.response
        required = [*self._present(self.required_keywords, text), *self._counted(text)]
        bonuses, penalties = self._present(self.bonus_keywords, text), self._present(self.penalty_keywords, text)
        forbidden = self._present(self.forbidden_keywords, text)
        share = self._share(len(required))
        bonus, penalty = self.bonus_weight * len(bonuses), -self.penalty_weight * len(penalties)
        metrics = {
            "required": MetricRewardOutput(share, _reason(required)),
            "bonus": MetricRewardOutput(bonus, _reason(bonuses)),
            "penalty": MetricRewardOutput(penalty, _reason(penalties)),
        }
        if self.forbidden_keywords:
            metrics["forbidden"] = MetricRewardOutput(float(not forbidden), _reason(forbidden))
        score = 0.0 if forbidden else min(1.0, max(0.0, share + bonus + penalty))
        return RewardOutput(score, metrics)

    def _share(self, found: int) -> float:
        """What `found` of the required keywords are worth."""
        wanted = len(self.required_keywords) + len(self.counts)
        if not wanted:
            return 0.5 if self.bonus_keywords or self.penalty_keywords else 1.0
        if self.require == "share":
            return found / wanted
        return float(found == wanted if self.require == "all" else found > 0)

    def _present(self, words: Sequence[str], text: str) -> list[str]:
        return [word for word in words if self._keywords[word].count_in(text, at_most=1)]

    def _counted(self, text: str) -> list[str]:
        """The keywords that occur as often as they must."""
        kept = []
        for word, (least, most) in self.counts.items():
            enough = least if most is None else most + 1
            count = self._keywords[word].count_in(text, at_most=enough)
            if least <= count and (most is None or count <= most):
                kept.append(word)
        return kept

    def _keyword(self, word: str) -> _Keyword:
        text = word.casefold() if self.ignore_case else word
        return _Keyword(text, re.compile(_whole_word(text)) if self.whole_words else None)


def _whole_word(text: str) -> str:
    """A pattern for a keyword that no letter of a spaced script makes longer."""
    before = "" if _IS_UNSPACED.match(text[0]) else rf"(?<![^\W{_UNSPACED}])"
    behind = "" if _IS_UNSPACED.match(text[-1]) else rf"(?![^\W{_UNSPACED}])"
    return f"{before}{re.escape(text)}{behind}"


class _Keyword(NamedTuple):
    """A keyword as it stands in the text, and what finds it where it is a whole word."""

    text: str
    whole: re.Pattern[str] | None

    def count_in(self, text: str, *, at_most: int) -> int:
        """How often it occurs, without overlaps; `at_most` is where counting stops."""
        if self.text not in text:  # many times faster than the pattern, and usual
            return 0
        if self.whole is None:
            return min(text.count(self.text), at_most)
        return sum(1 for _ in islice(self.whole.finditer(text), at_most))


def checked_texts(what: str, texts: Sequence[str]) -> list[str]:
    """`texts` as a list.

    Raises:
        ConfigError: one text instead of a list (its letters would be taken), an empty text, or no text.
    """
    if (
        isinstance(texts, str)
        or not isinstance(texts, Iterable)
        or not all(isinstance(text, str) and text for text in texts)
    ):
        raise ConfigError(f"{what} must be a list of texts that are not empty, found {shown(texts)}")
    return list(texts)


def _checked_counts(counts: Mapping[str, int | Sequence[int]]) -> dict[str, tuple[int, int | None]]:
    """The least and the most (None: no limit) by keyword."""
    if not isinstance(counts, Mapping):
        raise ConfigError(f"counts must be numbers by keyword, such as {{'tea': [1, 2]}}; found {shown(counts)}")
    checked: dict[str, tuple[int, int | None]] = {}
    for word, count in counts.items():
        limits = [count] if isinstance(count, int) else list(count) if isinstance(count, (list, tuple)) else []
        if not all(type(limit) is int and limit >= 0 for limit in limits) or limits != sorted(limits):
            limits = []
        if len(limits) not in (1, 2):
            raise ConfigError(
                f"counts[{shown(word)}] must be a number (at least) or two ([at least, at most]), found {shown(count)}"
            )
        checked[word] = (limits[0], limits[1] if len(limits) == 2 else None)
    checked_texts("counts", list(checked))
    return checked


def _check_size(words: Sequence[str]) -> None:
    if not words:
        raise ConfigError(
            "KeywordReward needs required_keywords, bonus_keywords, penalty_keywords, forbidden_keywords or counts; "
            "found none"
        )
    longest = max(words, key=len)
    if len(words) > _MAX_KEYWORDS or len(longest) > _MAX_CHARS:
        raise ConfigError(
            f"KeywordReward takes up to {_MAX_KEYWORDS} keywords of up to {_MAX_CHARS} characters; "
            f"found {len(words)}, the longest of {len(longest)}"
        )


def _reason(found: Sequence[str]) -> str:
    return f"found: {', '.join(found) or 'none'}"
