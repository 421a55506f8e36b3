"""Several rewards as one."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

from rayreward.boundary import Answer, outputs_of
from rayreward.compose import Method, Part, Rule, check_parts
from rayreward.condition import Condition
from rayreward.errors import ConfigError
from rayreward.function import Isolation, RewardFunction
from rayreward.rewards.part_answers import PartAnswers
from rayreward.sample import Sample
from rayreward.types import RewardOutput


class CompositeReward(RewardFunction):
    """Parts combined by a rule; each part stays visible as a component with its raw score and weight.

    Parts run side by side, within the longest of their deadlines. With ``combine="gate"`` the checks run first, in
    order, and a sample that one of them stops never reaches what comes after (so a model or a judge is not paid for
    it); with "first_valid" a part runs only for samples that have no score yet. A part that compares the samples of a
    prompt always sees whole groups.

    Args:
        parts: ``(reward, weight)`` pairs, ``(reward, weight, name)`` triples, or a ``{name: reward}`` dict.
        combine: how: see `rayreward.compose.Rule`.
        threshold: what a check or an all_pass part must reach.
        closed_score: the score of a sample that a gate stops.
        penalty: of mean_minus_std, in standard deviations.
        min_members: parts may fail where so many have a score.
        optional: names of parts whose failure does not fail the sample.

    Raises:
        ConfigError: no parts, equal names, weights outside a weighted sum, or an unknown rule or name.

    Example:
        >>> from rayreward.rewards import KeywordReward, LengthReward
        >>> reward = CompositeReward([(LengthReward(target=2, tolerance=1), 0.5), (KeywordReward(["because"]), 0.5)])
        >>> reward(response="because so").score
        1.0
    """

    name = "composite"

    def __init__(
        self,
        parts: Sequence[tuple[Any, ...]] | Mapping[str, RewardFunction],
        combine: Method = "weighted_sum",
        *,
        threshold: float = 0.5,
        closed_score: float = 0.0,
        penalty: float = 1.0,
        min_members: int | None = None,
        optional: Sequence[str] = (),
    ) -> None:
        listed = [(reward, 1.0, name) for name, reward in parts.items()] if isinstance(parts, Mapping) else parts
        rewards: dict[str, RewardFunction] = {}
        self.parts: list[Part] = []
        for position, item in enumerate(listed):
            reward, weight, name = _read_part(item, position)
            name = _free_name(name, rewards)
            rewards[name] = reward
            self.parts.append(Part(name, weight, name not in optional))
        self.rewards, self.rule = (
            rewards,
            Rule(combine, threshold, closed_score, penalty=penalty, min_members=min_members),
        )
        check_parts(self.parts, self.rule)
        unknown = set(optional) - rewards.keys()
        if unknown:
            raise ConfigError(f"optional names {sorted(unknown)[0]!r}, which is no part; parts: {', '.join(rewards)}")
        self.timeout_s = max(reward.timeout_s for reward in rewards.values())
        self.memory_bytes = max(reward.memory_bytes for reward in rewards.values())
        self.isolation = _strongest([reward.isolation for reward in rewards.values()])
        self.deterministic = all(reward.deterministic for reward in rewards.values())

    @property
    def counts_by_run(self) -> bool:  # type: ignore[override]  # a class says it, a composite asks its parts
        """Whether a part does."""
        return any(reward.counts_by_run for reward in self.rewards.values())

    @property
    def scores_one_by_one(self) -> bool:
        """Whether all parts do: then a hang in one of them costs one sample."""
        return all(reward.scores_one_by_one for reward in self.rewards.values())

    @property
    def compares_groups(self) -> bool:
        """Whether a part does."""
        return any(reward.compares_groups for reward in self.rewards.values())

    @property
    def scores_batches(self) -> bool:
        """No: some of its parts may score sample by sample, and the deadline is a sample's."""
        return False

    @property
    def is_async(self) -> bool:
        """Whether a part is."""
        return any(reward.is_async for reward in self.rewards.values())

    def load(self) -> None:
        """Load every part."""
        for reward in self.rewards.values():
            reward.load()

    def unload(self) -> None:
        """Unload every part."""
        for reward in self.rewards.values():
            reward.unload()

    @property
    def serving_condition(self) -> Condition:
        """That of its parts together."""
        return Condition.of_all({name: reward.serving_condition for name, reward in self.rewards.items()})

    @property
    def answers_each(self) -> bool:
        """Whether a part does: of the others it is known together."""
        return any(reward.answers_each for reward in self.rewards.values())

    @property
    def only_waits(self) -> bool:
        """Whether its parts do, or take no time."""
        return self.answers_each and all(one.only_waits or _takes_no_time(one) for one in self.rewards.values())

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """Score `samples` by all parts that the rule needs."""
        return await outputs_of(self, samples)

    async def answer_each(self, samples: Sequence[Sample], answer: Answer) -> None:
        """The same, each as soon as all parts that it needs have answered for it.

        Args:
            samples: what to score.
            answer: called with a position and its output, on whatever thread knows it.
        """
        await PartAnswers(self.parts, self.rewards, self.rule, samples, answer).gather()

    @property
    def parts_run_apart(self) -> bool:
        """Whether, served, each part runs where its own isolation says.

        So it is where one wants a process, and another would take from it that a hang there has one culprit: its calls
        carry several samples, or it wants a thread.
        """
        wants_process = any(reward.isolation == "process" for reward in self.rewards.values())
        return self.isolation == "process" and wants_process and not _may_share_a_process(self)

    def with_rewards(self, rewards: Mapping[str, RewardFunction]) -> Self:
        """The same rule over the same parts, asked of other rewards."""
        made = copy.copy(self)
        made.rewards = dict(rewards)
        return made


def _read_part(item: Any, position: int) -> tuple[RewardFunction, float, str]:
    values = item if isinstance(item, (tuple, list)) else (item,)
    reward = values[0] if values else None
    if not isinstance(reward, RewardFunction):
        reward = RewardFunction(func=reward) if callable(reward) else None
    if reward is None or len(values) > 3:
        raise ConfigError(
            f"part {position} of a composite must be (reward, weight) or (reward, weight, name), found {item!r:.80}"
        )
    weight = values[1] if len(values) > 1 else 1.0
    name = values[2] if len(values) > 2 else reward.name or type(reward).__name__
    if isinstance(weight, bool) or not isinstance(weight, (int, float)):
        raise ConfigError(f"the weight of part {name!r} must be a number, found {weight!r:.80}")
    return reward, float(weight), str(name)


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    """`name`, numbered where another part has it already: two length rewards are length and length_2."""
    number, free = 2, name
    while free in taken:
        free, number = f"{name}_{number}", number + 1
    return free


def _strongest(isolations: Sequence[Isolation]) -> Isolation:
    """The isolation that every part can live with."""
    if "process" in isolations:
        return "process"
    return "thread" if "thread" in isolations else "inline"


def _takes_no_time(reward: RewardFunction) -> bool:
    return reward.isolation == "inline" and reward.is_plain and not reward.answers_each


def _may_share_a_process(reward: RewardFunction) -> bool:
    """Whether one sample at a time goes through it, so that a hang in a shared process has one culprit."""
    if isinstance(reward, CompositeReward):
        return all(map(_may_share_a_process, reward.rewards.values()))
    return reward.isolation != "thread" and reward.scores_one_by_one and not reward.is_async
