"""What a lane is configured with.

What arrives: a reward's spec. What leaves: how its samples are treated, how many calls may be under way, and what one
call may hold.

Pure: no clock, no queue.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rayreward.router.batching import BatchLimits
from rayreward.router.breaker import BreakerPolicy
from rayreward.router.prescale import ReplicaRange
from rayreward.router.sizing import MOST_SAMPLES, Spread
from rayreward.spec import RewardSpec


@dataclass(frozen=True, slots=True)
class LanePolicy:
    """How one reward's samples are treated.

    Attributes:
        cache_entries: scores kept of a deterministic reward; 0 scores every sample, twins included.
        cache_bytes: about how much memory they may take.
        group_size: of a prompt, for group rewards whose samples do not say.
        group_wait_s: how long a group's first sample waits for its last.
        breaker: when the reward is left alone.
        hedge_after_s: a call without an answer for so long is made once more; None makes each once.
        replicas: how many there may be.
    """

    cache_entries: int = 100_000
    cache_bytes: int = 256 * 2**20
    group_size: int | None = None
    group_wait_s: float = 30.0
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    hedge_after_s: float | None = None
    replicas: ReplicaRange = field(default_factory=ReplicaRange)

    @classmethod
    def of(cls, spec: RewardSpec) -> LanePolicy:
        """What a reward's configuration says."""
        return cls(
            cache_entries=spec.cache_entries,
            cache_bytes=spec.cache_bytes,
            group_size=spec.group_size,
            group_wait_s=spec.group_wait_s,
            hedge_after_s=spec.hedge_after_s,
            replicas=ReplicaRange.of(spec),
        )


@dataclass(frozen=True, slots=True)
class Slots:
    """How many calls may be under way at once.

    Attributes:
        a_replica: that one takes.
        most_replicas: that may run.
    """

    a_replica: int
    most_replicas: int = 1

    def of(self, replica_count: int | None) -> int:
        """While so many replicas run; all where that is not known, and one's where none does: it is being started."""
        count = self.most_replicas if replica_count is None else replica_count
        return self.a_replica * max(1, min(count, self.most_replicas))

    def spread(self, replica_count: int | None) -> Spread:
        """Where work is spread: over no replica that may not be there."""
        return Spread(max(1, min(replica_count or 1, self.most_replicas)), self.a_replica)


def limits_of(spec: RewardSpec, *, usual_samples: int = MOST_SAMPLES) -> BatchLimits:
    """What one call of a reward may hold: what its configuration says, else `usual_samples`."""
    return BatchLimits(spec.max_batch_samples or usual_samples, spec.max_batch_bytes, spec.max_batch_tokens)
