"""Responses that have the form asked for: tags, sections, a pattern, and none of the phrases forbidden."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice, zip_longest
from typing import Literal, NamedTuple

from rayreward.errors import ConfigError, shown
from rayreward.function import Isolation, RewardFunction
from rayreward.rewards.keyword import checked_texts
from rayreward.sample import Trajectory
from rayreward.thinking import opens_thinking
from rayreward.types import MetricRewardOutput, RewardOutput

_TAG_NAME = re.compile(r"[^\W\d][\w.-]*")

_MAY_BACKTRACK = re.compile(r"[*+?{|]")
"""Without these a pattern has one way to match at each place; with them it may have more ways than there is time."""


class FormatReward(RewardFunction):
    r"""The share of rules that a response keeps. Range [0, 1]; with one rule 0 or 1.

    Each section and each forbidden pattern is a rule, `pattern` is one, and all `tags` together are one: each opened
    once and closed once, in this order, nothing of them inside another. A tag is ``<name>`` in exactly these letters.

    Source: the format reward of DeepSeek-R1 (arXiv 2501.12948, section 2.2.2); ``tags=["think"], outside="after"``
    answers as TRL's ``think_format_reward`` does, but for a second ``</think>`` and white space before the first tag.
    Cost: 10 us for 250 words, linear in their number; a pattern of yours costs what it costs. What games it: the form
    with nothing in it; refuse empty tags, and use it beside a reward for content. A pattern that repeats or chooses
    (``*``, ``+``, ``?``, ``{…}``, ``|``) can take for ever on a text that is made for it, so with one of those it runs
    in a process that can be killed.

    Args:
        required_sections: texts that must occur, whatever their case.
        forbidden_patterns: regular expressions that must not match, whatever the case.
        pattern: a regular expression that must match; ``.`` matches new lines too, and case matters.
        match: whether `pattern` must match the whole response ("full") or a part ("search").
        tags: names, such as ``["think", "answer"]``.
        outside: where text may be besides the tags' content: anywhere ("any"), behind the last tag ("after"), or
            nowhere ("nothing"). White space may be everywhere.
        allow_empty_tags: whether a tag may hold nothing but white space.
        prefilled_think: whether the prompt has opened the first tag, ``think``, so that the response only closes it.
            "auto": where the prompt ends in ``<think>``, and where the first tag of the response is ``</think>``.

    Raises:
        ConfigError: no rule at all, one that is no text, a pattern that is no regular expression, a tag that is no
            name or named twice, an option unknown or without the rule that it is of.

    Example:
        >>> reward = FormatReward(tags=["think", "answer"], outside="nothing")
        >>> reward(response="<think>2 + 2</think> <answer>4</answer>").score
        1.0
        >>> reward(response="<think>2 + 2</think> It is 4.").metrics["tags"].reason
        'wanted <answer>, found the end'
    """

    isolation: Isolation = "inline"
    deterministic = True
    name = "format"

    def __init__(
        self,
        required_sections: Sequence[str] = (),
        forbidden_patterns: Sequence[str] = (),
        *,
        pattern: str | None = None,
        match: Literal["full", "search"] = "full",
        tags: Sequence[str] = (),
        outside: Literal["any", "after", "nothing"] = "any",
        allow_empty_tags: bool = True,
        prefilled_think: Literal["auto"] | bool = "auto",
    ) -> None:
        self.required_sections = checked_texts("required_sections", required_sections)
        self.forbidden_patterns = checked_texts("forbidden_patterns", forbidden_patterns)
        self.tags = checked_tags("FormatReward", tags, prefilled_think)
        if not (required_sections or forbidden_patterns or pattern is not None or tags):
            raise ConfigError(
                "FormatReward needs required_sections, forbidden_patterns, pattern or tags; found none of them"
            )
        if match not in ("full", "search"):
            raise ConfigError(f"FormatReward(match={shown(match)}): known are 'full' and 'search'")
        if outside not in ("any", "after", "nothing"):
            raise ConfigError(f"FormatReward(outside={shown(outside)}): known are 'any', 'after' and 'nothing'")
        if not tags and (outside != "any" or not allow_empty_tags):
            raise ConfigError("FormatReward(outside=…, allow_empty_tags=…) say what tags may be; found no tags")
        self.pattern, self.match, self.outside = pattern, match, outside
        self.allow_empty_tags, self.prefilled_think = bool(allow_empty_tags), prefilled_think
        patterns = [*self.forbidden_patterns, *checked_texts("pattern", [] if pattern is None else [pattern])]
        if any(_MAY_BACKTRACK.search(one) for one in patterns):
            self.isolation = "process"
        self._forbidden = [_compiled("forbidden_patterns", one, re.IGNORECASE) for one in self.forbidden_patterns]
        self._pattern = None if pattern is None else _compiled("pattern", pattern, re.DOTALL)
        self._tag = re.compile(f"</?(?:{'|'.join(map(re.escape, self.tags))})>")

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The share of rules kept; sections, forbidden phrases, pattern and tags are its components."""
        response = trajectory.response
        rules = {
            "sections": self._sections(response),
            "forbidden": self._phrases(response),
            "pattern": self._match(response),
            "tags": self._structure(response, trajectory.prompt),
        }
        metrics = {
            name: MetricRewardOutput(1.0 - rule.broken / rule.asked, rule.fault)
            for name, rule in rules.items()
            if rule.asked
        }
        broken = sum(rule.broken for rule in rules.values())
        return RewardOutput(1.0 - broken / sum(rule.asked for rule in rules.values()), metrics)

    def _sections(self, response: str) -> _Rules:
        text = response.casefold() if self.required_sections else ""
        missing = [section for section in self.required_sections if section.casefold() not in text]
        return _Rules(len(self.required_sections), len(missing), f"missing: {', '.join(missing)}" if missing else None)

    def _phrases(self, response: str) -> _Rules:
        found = [pattern.pattern for pattern in self._forbidden if pattern.search(response)]
        return _Rules(len(self._forbidden), len(found), f"found: {', '.join(found)}" if found else None)

    def _match(self, response: str) -> _Rules:
        if self._pattern is None:
            return _Rules(0)
        found = self._pattern.fullmatch(response) if self.match == "full" else self._pattern.search(response)
        return _Rules(1) if found else _Rules(1, 1, "no match")

    def _structure(self, response: str, prompt: str) -> _Rules:
        if not self.tags:
            return _Rules(0)
        fault = self._fault_of_tags(response, prompt)
        return _Rules(1) if fault is None else _Rules(1, 1, fault)

    def _fault_of_tags(self, response: str, prompt: str) -> str | None:
        """What is wrong with the tags, or None. Reads on until one tag more than there should be, never all of them."""
        wanted = [tag for name in self.tags for tag in (f"<{name}>", f"</{name}>")]
        matches = list(islice(self._tag.finditer(response), len(wanted) + 1))
        found = [match[0] for match in matches]
        is_prefilled = self._is_prefilled(prompt, found)
        for want, have in zip_longest(wanted[is_prefilled:], found, fillvalue="the end"):
            if want != have:
                return f"wanted {want}, found {have}"
        texts = ["", *self._tag.split(response)] if is_prefilled else self._tag.split(response)
        between, inside = texts[::2], texts[1::2]
        if not self.allow_empty_tags:
            for name, text in zip(self.tags, inside, strict=True):
                if not text.strip():
                    return f"nothing in <{name}>"
        refused = {"any": [], "after": between[:-1], "nothing": between}[self.outside]
        return "text outside of the tags" if any(text.strip() for text in refused) else None

    def _is_prefilled(self, prompt: str, found: Sequence[str]) -> bool:
        if self.prefilled_think != "auto":
            return self.prefilled_think
        return self.tags[0] == "think" and (opens_thinking(prompt) or list(found[:1]) == ["</think>"])


class _Rules(NamedTuple):
    """How many rules of a kind there are, how many are broken, and which."""

    asked: int
    broken: int = 0
    fault: str | None = None


def checked_tags(where: str, tags: Sequence[str], prefilled_think: Literal["auto"] | bool) -> list[str]:
    """`tags` as a list; `where` names the caller in the error.

    Raises:
        ConfigError: one is no name (``<think>`` is none, ``think`` is) or named twice, or `prefilled_think` is unknown
            or true where the first tag is not ``think``.
    """
    names = checked_texts("tags", tags)
    for name in names:
        if not _TAG_NAME.fullmatch(name):
            raise ConfigError(f"{where}(tags=…): names without brackets are needed, such as 'think'; found {name!r}")
    if len(set(names)) < len(names):
        raise ConfigError(f"{where}(tags={shown(names)}): each tag is to occur once, so name it once")
    if prefilled_think != "auto" and not isinstance(prefilled_think, bool):
        raise ConfigError(f"{where}(prefilled_think={shown(prefilled_think)}): known are 'auto', True and False")
    if prefilled_think is True and names[:1] != ["think"]:
        raise ConfigError(f"{where}(prefilled_think=True) needs tags that begin with 'think', found {shown(names)}")
    return names


def _compiled(what: str, pattern: str, flags: re.RegexFlag) -> re.Pattern[str]:
    try:
        return re.compile(pattern, flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise ConfigError(f"{what}: {shown(pattern)} is no regular expression: {error}") from None
