"""Where an episode's reward comes from: the router at its end, the router turn by turn, or its environment.

What arrives: an episode that is played or has ended. What leaves: one finite answer. A failure never becomes a zero:
the route's policy says what an episode without a reward is told to the trainer.
"""

from __future__ import annotations

import math
from typing import Protocol

from rayreward.agents.barrier import Barrier
from rayreward.agents.binding import Binding
from rayreward.agents.episode import ENVIRONMENT, Episode
from rayreward.agents.groups import Group
from rayreward.agents.scorer import Scorer
from rayreward.trainers.openrlhf import TrainerAnswer
from rayreward.types import Failure, FailureKind, RewardOutput


class EpisodeRewards(Protocol):
    """One way to reward episodes."""

    async def on_turn(self, episode: Episode, context: str) -> None:
        """A turn was played; `context` is all that the model has seen and said."""
        ...

    async def answer(self, episode: Episode, query: str, group: Group) -> TrainerAnswer:
        """What the trainer is told of an episode that has ended."""
        ...

    def miss(self, group: Group) -> None:
        """One of the group will not end."""
        ...


def build_rewards(binding: Binding, scorer: Scorer) -> EpisodeRewards:
    """The way that the job has chosen."""
    if binding.rewards == "step":
        return StepRewards(scorer)
    if binding.rewards == "environment":
        return EnvironmentRewards(scorer)
    return EndRewards(scorer, Barrier(scorer, binding.group_wait_s) if binding.group else None)


class EndRewards:
    """The router scores the whole episode; with a barrier, together with the others of its prompt."""

    def __init__(self, scorer: Scorer, barrier: Barrier | None = None) -> None:
        self._scorer, self._barrier = scorer, barrier

    async def on_turn(self, episode: Episode, context: str) -> None:
        """Nothing is scored before the end."""

    async def answer(self, episode: Episode, query: str, group: Group) -> TrainerAnswer:
        """The router's."""
        sample = episode.sample(query)
        if episode.failure is not None:
            self.miss(group)
            return await self._scorer.settle(sample, RewardOutput(failure=episode.failure))
        if self._barrier is not None:
            return await self._barrier.answer(group, sample)
        return (await self._scorer.answer([sample]))[0]

    def miss(self, group: Group) -> None:
        """The others need not wait for it."""
        if self._barrier is not None:
            self._barrier.miss(group)


class StepRewards:
    """The router scores every turn; the episode gets their sum. A turn that fails gets the policy's number."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    async def on_turn(self, episode: Episode, context: str) -> None:
        """Score the turn while the model waits for what it is told next."""
        if episode.failure is None:
            episode.answers += await self._scorer.answer([episode.sample(context)])

    async def answer(self, episode: Episode, query: str, group: Group) -> TrainerAnswer:
        """The sum over the turns; no filter score where one of them has none."""
        answers = list(episode.answers)
        if episode.failure is not None:
            answers.append(await self._scorer.settle(episode.sample(query), RewardOutput(failure=episode.failure)))
        return TrainerAnswer(
            math.fsum(answer.reward for answer in answers),
            math.fsum(answer.filter_score for answer in answers),
            all(answer.is_valid for answer in answers),
        )

    def miss(self, group: Group) -> None:
        """Nobody waits."""


class EnvironmentRewards:
    """The sum of what the environment's turns give.

    Dynamic filtering sees the same, or ``filter_score`` of the last turn's metadata where that is a number.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    async def on_turn(self, episode: Episode, context: str) -> None:
        """The environment has said its number with the turn."""

    async def answer(self, episode: Episode, query: str, group: Group) -> TrainerAnswer:
        """The environment's sum, which the router counts and logs; without one, what the policy makes of a failure."""
        given = [turn.reward for turn in episode.turns if turn.reward is not None]
        failure = episode.failure or _missing(given)
        if failure is not None:
            return await self._scorer.settle(episode.sample(query), RewardOutput(failure=failure))
        output = RewardOutput(math.fsum(given), metadata=episode.turns[-1].metadata)
        return await self._scorer.settle(episode.sample(query), output)

    def miss(self, group: Group) -> None:
        """Nobody waits."""


def _missing(given: list[float]) -> Failure | None:
    if given and math.isfinite(sum(given)):
        return None
    message = (
        f"the sum of its turns' rewards must be finite, found {sum(given)}"
        if given
        else "rewards are the environment's, and none of its turns gave one: return Turn(reward=...), 0.0 among them"
    )
    return Failure(FailureKind.INVALID_OUTPUT, message, ENVIRONMENT)
