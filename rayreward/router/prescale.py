"""Replicas that are wished for before there is work for them.

What arrives: a number, and for how long: a synchronous trainer knows when its next rollout ends. What leaves: what is
granted of it, within what the reward may have; and until its end, the wish, to be told to replicas. A newer wish takes
the older one's place; one of 0 takes it back.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from rayreward.errors import InvalidInputError
from rayreward.router.terms import Clock
from rayreward.spec import RewardSpec

DEFAULT_MAX_REPLICAS = 4
"""Enough to be useful on one machine; a cluster's owner sets autoscaling_config.max_replicas."""

_LONGEST_S = 24 * 3600.0
"""A wish is for the next phase of a training; who wants replicas for ever sets min_replicas."""


@dataclass(frozen=True, slots=True)
class ReplicaRange:
    """How many replicas a reward may have.

    Attributes:
        least: that run without any work; 0 lets the reward go to sleep.
        most: whatever there is to do.
        fixed_by: why nobody can wish for more, as the end of a sentence; None where one can.
    """

    least: int = 1
    most: int = 1
    fixed_by: str | None = "has a fixed number of replicas"

    @classmethod
    def of(cls, spec: RewardSpec) -> ReplicaRange:
        """What a reward's configuration says."""
        if spec.in_router:
            return cls(fixed_by="runs in the router, without replicas")
        if spec.num_replicas is not None:
            return cls(spec.num_replicas, spec.num_replicas, f"has num_replicas: {spec.num_replicas}")
        scaling = spec.autoscaling_config
        fixed_by = "is scaled by a policy of its own" if scaling.get("policy") else None
        return cls(
            int(scaling.get("min_replicas", 1)), int(scaling.get("max_replicas", DEFAULT_MAX_REPLICAS)), fixed_by
        )


@dataclass(frozen=True, slots=True)
class Prescaled:
    """What a wish has come to.

    Attributes:
        asked: replicas.
        granted: of them, within `min_replicas` and `max_replicas`; they are started now, and work may bring more.
        for_s: how long.
        until: the end, as ISO 8601 in UTC.
    """

    reward: str
    asked: int
    granted: int
    min_replicas: int
    max_replicas: int
    for_s: float
    until: str


class Wish(NamedTuple):
    """What is wished for now: 0 replicas where nothing is."""

    replicas: int = 0
    left_s: float = 0.0


class Wishes:
    """One reward's.

    Args:
        range: how many replicas it may have.
        now: the clock that wishes end by, in seconds.
        wall: the clock that people read, in Unix seconds.

    Attributes:
        is_news: whether the latest wish, one of 0 included, has been told to no replica yet; who tells it says so.

    Example:
        >>> wishes = Wishes(ReplicaRange(0, 4, fixed_by=None), now=lambda: 7.0, wall=lambda: 0.0)
        >>> answer = wishes.ask("math", 9, for_s=60.0)
        >>> answer.granted, answer.until, wishes.current
        (4, '1970-01-01T00:01:00+00:00', Wish(replicas=4, left_s=60.0))
    """

    def __init__(self, range: ReplicaRange, *, now: Clock, wall: Clock = time.time) -> None:
        self._range, self._now, self._wall = range, now, wall
        self._replicas, self._end_s = 0, 0.0
        self.is_news = False

    @classmethod
    def refused(cls) -> Wishes:
        """Those of a reward whose replicas are fixed."""
        return cls(ReplicaRange(), now=time.monotonic)

    @property
    def current(self) -> Wish:
        """What replicas are to be told."""
        left_s = self._end_s - self._now()
        return Wish(self._replicas, left_s) if self._replicas and left_s > 0 else Wish()

    def ask(self, reward: str, replicas: int, *, for_s: float) -> Prescaled:
        """Wish for so many replicas.

        Raises:
            InvalidInputError: the reward cannot have more or fewer, or the numbers are none.
        """
        bounds = self._range
        if bounds.fixed_by is not None:
            raise InvalidInputError(
                f"prescale of {reward!r}: it {bounds.fixed_by}; give it an autoscaling_config without a policy instead"
            )
        if replicas < 0 or not 0 < for_s <= _LONGEST_S:
            raise InvalidInputError(
                f"prescale of {reward!r}: wants replicas from 0 on, for up to {_LONGEST_S:g} s, "
                f"found {replicas} for {for_s:g} s"
            )
        granted = max(bounds.least, min(bounds.most, replicas))
        self.is_news = True
        self._replicas, self._end_s = min(bounds.most, replicas), self._now() + for_s
        until = datetime.fromtimestamp(self._wall() + for_s, UTC).isoformat(timespec="seconds")
        return Prescaled(reward, replicas, granted, bounds.least, bounds.most, for_s, until)
