"""What the router asks of a reward's way through it, however many versions lie behind.

What arrives: samples, and questions of operators. What leaves: outputs, and answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rayreward.router.prescale import Prescaled
from rayreward.router.rollout import RewardVersions
from rayreward.router.stats import LaneStats
from rayreward.router.terms import Terms
from rayreward.sample import Sample
from rayreward.types import RewardInfo, RewardOutput
from rayreward.wire import VersionsChangeBody


class RewardLane(Protocol):
    """A reward's way through the router: a `Lane`, or several versions of it side by side."""

    @property
    def is_ready(self) -> bool:
        """Whether replicas have loaded all that answers callers."""
        ...

    @property
    def can_sleep(self) -> bool:
        """Whether what is not ready may have no replica where nothing is asked for."""
        ...

    def parts(self, samples: Sequence[Sample]) -> Sequence[Sequence[int]] | None:
        """Positions of samples that are known together, each part for itself; None where all are."""
        ...

    async def score(self, samples: Sequence[Sample], terms: Terms) -> list[RewardOutput]:
        """One output a sample, in order."""
        ...

    async def close(self) -> None:
        """Take nothing more; what is under way fails as `cancelled`."""
        ...

    def info(self, name: str) -> RewardInfo:
        """What is said of the reward in public."""
        ...

    def all_stats(self, name: str) -> list[LaneStats]:
        """What is going on, in each version's lane."""
        ...

    def prescale(self, name: str, replicas: int, *, for_s: float) -> Prescaled:
        """Wish for replicas; raises `InvalidInputError` where their number is fixed."""
        ...

    def versions(self, name: str) -> RewardVersions:
        """Which versions there are, and who meets which."""
        ...

    async def change(self, name: str, change: VersionsChangeBody) -> RewardVersions:
        """Another version, or another share of the prompts; raises `RolloutError` where there is none."""
        ...
