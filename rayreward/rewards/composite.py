"""Several rewards as one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from rayreward.boundary import Answer, answer_rest_of, can_answer_each, score_guarded
from rayreward.compose import Method, Part, Rule, check_parts, combine, gate_is_open
from rayreward.condition import Condition
from rayreward.errors import ConfigError
from rayreward.function import Isolation, RewardFunction
from rayreward.grouping import positions_of_groups
from rayreward.outcome import to_output
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
        """Whether it says each output as soon as it is known: where a part does, and the others take no time."""
        parts = self.rewards.values()
        return any(map(can_answer_each, parts)) and all(can_answer_each(one) or _takes_no_time(one) for one in parts)

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """Score `samples` by all parts that the rule needs."""
        outputs: dict[int, RewardOutput] = {}
        await self.answer_each(samples, outputs.__setitem__)
        return [outputs[at] for at in range(len(samples))]

    async def answer_each(self, samples: Sequence[Sample], answer: Answer) -> None:
        """The same, each as soon as all parts that it needs have answered for it.

        Args:
            samples: what to score.
            answer: called with a position and its output, on whatever thread knows it.
        """
        if not samples:
            return
        table = _Table(self.parts, self.rule, answer, [{} for _ in samples])
        if self.rule.method in ("gate", "first_valid"):
            await self._in_turn(samples, table)
        else:
            asked = [_tell(one, samples, partial(table.note, name)) for name, one in self.rewards.items()]
            await asyncio.gather(*asked)

    async def _in_turn(self, samples: Sequence[Sample], table: _Table) -> None:
        """Part after part, each for the samples that still need it."""
        waiting = list(range(len(samples)))
        for part in self.parts:
            if not waiting:
                return
            reward = self.rewards[part.name]
            asked = _whole_groups(samples, waiting) if reward.compares_groups else waiting
            turn = _Turn(table, part, asked, frozenset(waiting))
            await _tell(reward, [samples[index] for index in asked], turn.note)
            waiting = sorted(turn.going_on)


@dataclass(frozen=True, slots=True)
class _Table:
    """What the parts have said of each sample; a row that is complete is combined and answered.

    On any thread: a row that two parts complete at once is answered twice, and alike.
    """

    parts: Sequence[Part]
    rule: Rule
    answer: Answer
    rows: Sequence[dict[str, RewardOutput]]

    def note(self, name: str, at: int, output: RewardOutput) -> None:
        """A part has answered, where all are asked."""
        self.rows[at][name] = output
        if len(self.rows[at]) == len(self.parts):
            self.close(at)

    def close(self, at: int) -> None:
        """Nobody else is asked for this one."""
        self.answer(at, combine(self.parts, self.rows[at], self.rule))


@dataclass(frozen=True, slots=True)
class _Turn:
    """One part's, for those that still wait; it is asked for their siblings too, where it compares.

    Attributes:
        going_on: who needs the next part.
    """

    table: _Table
    part: Part
    asked: Sequence[int]
    waiting: frozenset[int]
    going_on: set[int] = field(default_factory=set)

    def note(self, at: int, output: RewardOutput) -> None:
        """The part has answered for the `at`-th of those that it was asked for."""
        index = self.asked[at]
        if index not in self.waiting:
            return
        self.table.rows[index][self.part.name] = output
        if self.part is not self.table.parts[-1] and self._needs_next(output):
            self.going_on.add(index)
        else:
            self.table.close(index)

    def _needs_next(self, output: RewardOutput) -> bool:
        rule = self.table.rule
        return not output.is_valid if rule.method == "first_valid" else gate_is_open(self.part, output, rule)


async def _tell(reward: RewardFunction, samples: Sequence[Sample], tell: Answer) -> None:
    """What one part says of each sample, as soon as it says it."""
    if not can_answer_each(reward):
        for at, output in enumerate(await score_guarded(reward.ascore, samples)):
            tell(at, output)
        return
    answered: set[int] = set()

    def note(at: int, output: RewardOutput) -> None:
        answered.add(at)
        tell(at, to_output(output))

    rest = await answer_rest_of(reward, samples, note)
    for at in range(len(samples)):
        if at not in answered:
            tell(at, rest)


def _takes_no_time(reward: RewardFunction) -> bool:
    return reward.isolation == "inline" and not reward.is_async and not reward.compares_groups


def _whole_groups(samples: Sequence[Sample], wanted: Sequence[int]) -> list[int]:
    """The positions of all siblings of the samples that are wanted: with fewer to compare, scores would be others."""
    groups = [positions for positions in positions_of_groups(samples) if not set(positions).isdisjoint(wanted)]
    return sorted(position for positions in groups for position in positions)


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
