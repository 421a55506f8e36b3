"""What comparisons of a group come to: an output for each sample.

What arrives: the candidates, and what was said of each pair in both orders. What leaves: one output a candidate: its
score where enough of its comparisons are there, else why they are not. A pair counts only where both orders are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rayreward.judges.candidates import Candidates
from rayreward.judges.gathering import commonest
from rayreward.judges.preference import Preference, both_orders
from rayreward.judges.ranking import Comparison
from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardOutput

Rank = Callable[[Sequence[int], Sequence[Comparison]], list[float | None]]
"""A function of `rayreward.judges.ranking` that makes a number for each candidate out of comparisons."""

_ALONE = (
    "there is nothing to compare the response with: its group has no other sample that can be read; where siblings "
    "come in requests of their own, say how many they are (group_size)"
)


@dataclass(frozen=True, slots=True)
class Duel:
    """What was said of two candidates: of (one, other), then of (other, one)."""

    one: int
    other: int
    said: Sequence[Preference | Failure]

    @property
    def comparison(self) -> Comparison | None:
        """What it comes to; None where an order is missing: the other alone has a liking for a place in it."""
        said = self.preferences
        if len(said) < len(self.said):
            return None
        found = both_orders(*said) if len(said) == 2 else said[0]
        return Comparison(self.one, self.other, found.chance, found.logit or 0.0)

    @property
    def preferences(self) -> list[Preference]:
        """What was said, without what went wrong."""
        return [one for one in self.said if isinstance(one, Preference)]

    @property
    def failures(self) -> list[Failure]:
        """What went wrong."""
        return [one for one in self.said if isinstance(one, Failure)]

    @property
    def is_torn(self) -> bool:
        """Whether the two orders prefer different ones: both whatever stands first, or second."""
        leanings = [one.chance - 0.5 for one in self.preferences]
        return len(leanings) == 2 and leanings[0] * leanings[1] > 0


def outputs_of(found: Candidates, duels: Sequence[Duel], rank: Rank, *, min_compared: float) -> Iterator[RewardOutput]:
    """One output a candidate, in order.

    Args:
        found: the candidates.
        duels: what was said of their pairs.
        rank: what makes scores of it.
        min_compared: the share of its comparisons that a candidate needs.
    """
    scores = rank(found.copies, [duel.comparison for duel in duels if duel.comparison is not None])
    said = [one.chance for duel in duels for one in duel.preferences]
    shown = {"first_place_share": sum(said) / len(said)} if said else {}
    for candidate, score in enumerate(scores):
        own = [duel for duel in duels if candidate in (duel.one, duel.other)]
        compared = [duel for duel in own if duel.comparison is not None]
        metadata = {"compared": len(compared), "comparisons": len(own), **shown}
        if score is None or len(compared) < min_compared * len(own):
            yield RewardOutput(failure=_why_not(own, compared, duels), metadata=metadata)
            continue
        torn = sum(duel.is_torn for duel in compared) / len(compared) if compared else 0.0
        has_orders = all(len(duel.said) == 2 for duel in own)
        yield RewardOutput(
            score,
            {"orders_disagree": MetricRewardOutput(torn, weight=0.0)} if has_orders else None,
            reason=_reason(candidate, compared),
            metadata=metadata,
        )


def _reason(candidate: int, compared: Sequence[Duel]) -> str:
    won = 0
    for duel in compared:
        chance = duel.comparison.win_chance if duel.comparison is not None else 0.5
        won += (chance > 0.5) if duel.one == candidate else (chance < 0.5)
    return f"preferred to {won} of the {len(compared)} different responses that it was compared with"


def _why_not(own: Sequence[Duel], compared: Sequence[Duel], duels: Sequence[Duel]) -> Failure:
    # Its own may all be there, and those that lead to the others not.
    failures = [failure for some in (own, duels) for duel in some for failure in duel.failures]
    if not failures:
        return Failure(FailureKind.INVALID_INPUT, _ALONE)
    worst = commonest(failures)
    return Failure(worst.kind, f"{len(own) - len(compared)} of {len(own)} comparisons failed, such as: {worst.message}")
