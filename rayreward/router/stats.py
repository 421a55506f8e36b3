"""What is going on in the router, as one value that can be rendered and sent.

What arrives: the counts of its parts. What leaves: frozen, picklable values; nothing here counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rayreward.router.lookup import Lookup


@dataclass(frozen=True, slots=True)
class CacheSummary:
    """One reward's known scores.

    Attributes:
        entry_count: scores held now.
        size_bytes: about how much memory they take.
        hit_count: samples answered from them.
        twin_count: samples answered together with the same sample under way.
        miss_count: samples scored.
    """

    entry_count: int = 0
    size_bytes: int = 0
    hit_count: int = 0
    twin_count: int = 0
    miss_count: int = 0

    @classmethod
    def of(cls, lookup: Lookup) -> CacheSummary:
        """As it is now."""
        counted = lookup.stats
        return cls(
            entry_count=len(lookup.cache),
            size_bytes=lookup.cache.size_bytes,
            hit_count=counted.hit_count,
            twin_count=counted.twin_count,
            miss_count=counted.miss_count,
        )


@dataclass(frozen=True, slots=True)
class LaneStats:
    """One reward. Counts ending the sentence "so many … since the start", except those of now.

    Attributes:
        state: "ready", "starting", "unhealthy" or "idle".
        waiting_count: samples in the queue now.
        in_flight_count: samples in calls under way now.
        sample_count: samples that came back.
        dropped_count: samples whose caller left, or whose deadline passed, before they were sent.
        failure_counts: of those that came back, by kind.
        breaker: "closed", "open" or "half-open".
        hedged_count: batches that took too long and were sent once more.
        hedge_won_count: of those, how many the second call answered.
        open_group_count: groups that wait for members now.
        cache: None where it is switched off.
    """

    reward: str
    state: str
    version: str | None = None
    waiting_count: int = 0
    in_flight_count: int = 0
    sample_count: int = 0
    batch_count: int = 0
    dropped_count: int = 0
    failure_counts: Mapping[str, int] = field(default_factory=dict)
    breaker: str = "closed"
    breaker_opened_count: int = 0
    hedged_count: int = 0
    hedge_won_count: int = 0
    open_group_count: int = 0
    cache: CacheSummary | None = None


@dataclass(frozen=True, slots=True)
class RouterStats:
    """The whole router.

    Attributes:
        inside_samples: admitted and not answered yet.
        inside_bytes: of those.
        held_count: requests that are held at the door now.
        refused_count: requests refused since the start.
        lanes: by reward.
    """

    inside_samples: int = 0
    inside_bytes: int = 0
    held_count: int = 0
    refused_count: int = 0
    lanes: tuple[LaneStats, ...] = ()
