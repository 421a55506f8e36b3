"""Several rewards that judge the same thing, as one: a policy that fools one of them has not fooled all.

What arrives: samples. What leaves: one output each: what the members say together, with every member's own score and
their disagreement beside it. A member that fails fails the sample, unless fewer are enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from rayreward.compose import Rule, check_parts
from rayreward.errors import ConfigError
from rayreward.function import RewardFunction
from rayreward.models.reward_model import RewardModel
from rayreward.rewards.composite import CompositeReward

EnsembleMethod = Literal["mean", "median", "min", "mean_minus_std"]


class EnsembleReward(CompositeReward):
    """Members that judge the same thing on one scale, each scoring every sample, side by side.

    Scores are combined as they are: members need one scale, as reward models have that were normalised on the same
    data (`normalize`, or `mean` and `std` of each).

    Args:
        members: rewards, ``(reward, name)`` pairs, or checkpoints' paths or hub names, which become reward models.
        combine: "mean", "median", "min" (the most doubtful member), or "mean_minus_std": the mean less `penalty`
            standard deviations, which earns less where members disagree (Coste et al., 2023, arXiv:2310.02743, take
            the variance; a standard deviation is on the scores' own scale).
        penalty: of "mean_minus_std", in standard deviations.
        min_members: members may fail where so many have a score; None fails the sample with any of them.
        options: of the reward models that `members` names by path; see `RewardModel`.

    Raises:
        ConfigError: no member, two of one name, an unknown method, or options without a path to use them on.

    Example:
        >>> from rayreward.rewards import KeywordReward
        >>> members = [(KeywordReward(["two"]), "strict"), (KeywordReward(["words"]), "lax")]
        >>> output = EnsembleReward(members, "mean_minus_std", penalty=0.5)(response="two words")
        >>> output.score, output.metrics["disagreement"].score
        (1.0, 0.0)
    """

    name = "ensemble"

    def __init__(
        self,
        members: Sequence[Any],
        combine: EnsembleMethod = "mean",
        *,
        penalty: float = 1.0,
        min_members: int | None = None,
        **options: Any,
    ) -> None:
        if combine not in get_args(EnsembleMethod):
            raise ConfigError(f"ensemble(combine={combine!r}): known are {', '.join(get_args(EnsembleMethod))}")
        if isinstance(members, str) or not isinstance(members, Sequence):
            raise ConfigError(f"ensemble(members={members!r:.80}): a list of rewards or checkpoints is needed")
        if options and not any(isinstance(member, str) for member in members):
            raise ConfigError(f"ensemble: {sorted(options)[0]!r} is for checkpoints that are given by path; found none")
        super().__init__([_read_member(member, options) for member in members], combine)
        self.rule = Rule(combine, penalty=penalty, min_members=min_members, shows_disagreement=True)
        check_parts(self.parts, self.rule)


def _read_member(member: Any, options: dict[str, Any]) -> tuple[Any, ...]:
    if isinstance(member, str):
        return RewardModel(member, **options), 1.0, Path(member).name
    if isinstance(member, RewardFunction):
        return (member,)
    reward, name = member if isinstance(member, (tuple, list)) and len(member) == 2 else (None, "")
    if not isinstance(reward, RewardFunction):
        raise ConfigError(f"a member of an ensemble is a reward, (reward, name) or a path, found {member!r:.80}")
    return reward, 1.0, name
