"""How many of the waiting samples the next call carries.

What arrives: how long calls took to compute, and how many samples wait for how many free slots. What leaves: a number
of samples. A call costs milliseconds of CPU whatever it carries, so it should carry work that is worth them; and what
waits should be spread over the replicas that are free, so that none stands idle while another has it all. Where the
two disagree, the first one wins: a trivial reward's thousand samples travel in one call.

Where a replica takes its calls in turn, a second one only waits there for the first. It leaves early only when it
carries so much that it takes a while on its way; else what comes meanwhile travels with it.

Pure: no clock, no queue.
"""

from __future__ import annotations

from dataclasses import dataclass

_WORK_S = 0.02
"""A call's own cost is 2 to 6 ms of CPU (Ray 2.55): computing four times as long, it is a fifth of the whole or less.
Smaller calls cost more, larger ones make the last of a burst wait longer."""

USUAL_SAMPLES = 256
"""What a call carries while nobody knows what a sample costs, and never less of a long queue because of the cost."""

MOST_SAMPLES = 2048
"""Where a sample costs so little that even these are no work: a lost replica loses no more."""

AHEAD_SAMPLES = 512
"""With so many a call is under way for longer than it costs (2 ms of CPU a hop, and 5 for these samples of 2 KB): it is
sent while its replica is busy with another. A burst of 1,024 trivial samples then has a tenth more samples a second for
the same CPU; with 256, for a sixth more."""

_FADING = 0.5
"""Of what earlier calls took, at each new one: some three calls are remembered, large ones more than small ones."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Where calls go.

    Attributes:
        replica_count: how many replicas there are.
        slots_per_replica: calls that each takes at once.
    """

    replica_count: int = 1
    slots_per_replica: int = 1


class BatchSizer:
    """Sizes the calls of one reward.

    Args:
        spread: where they go.
        most_samples: what no call exceeds.

    Attributes:
        takes_turns: whether a replica's second call waits there for its first.

    Example:
        >>> sizer = BatchSizer(Spread(replica_count=2, slots_per_replica=2))
        >>> sizer.size(waiting=1000, free_slots=4)  # nobody knows yet: four calls of the usual size
        250
        >>> sizer.note(samples=250, computed_s=0.001)
        >>> sizer.size(waiting=1000, free_slots=4)  # 4 ms of work: one call
        1000
        >>> sizer.note(samples=1000, computed_s=10.0)
        >>> sizer.size(waiting=300, free_slots=4)  # 3 s of work: both replicas
        150
    """

    def __init__(self, spread: Spread, *, most_samples: int = MOST_SAMPLES) -> None:
        self._spread, self._most_samples = spread, most_samples
        self.takes_turns = False
        self._computed_s = 0.0
        self._sample_count = 0.0

    def spread_over(self, spread: Spread) -> None:
        """Where calls go from now on."""
        self._spread = spread

    def note(self, *, samples: int, computed_s: float) -> None:
        """A call has come back."""
        self._computed_s = self._computed_s * _FADING + computed_s
        self._sample_count = self._sample_count * _FADING + samples

    def size(self, *, waiting: int, free_slots: int, busy_slots: int = 0) -> int:
        """Samples of the next call, of those that wait; 0 where none should leave now."""
        if not waiting:
            return 0
        enough = self._enough()
        most = min(max(enough, USUAL_SAMPLES), self._most_samples)
        if self.takes_turns:
            free_replicas = self._spread.replica_count - busy_slots
            if free_replicas <= 0 and waiting < min(most, AHEAD_SAMPLES):
                return 0
        else:
            free_replicas = min(-(-free_slots // self._spread.slots_per_replica), self._spread.replica_count)
        size = min(max(-(-waiting // max(free_replicas, 1)), enough), most)
        call_count = -(-waiting // size)
        return -(-waiting // call_count)  # alike: not 256 and then 44

    def _enough(self) -> int:
        """Samples that are work enough for a call."""
        if not self._sample_count:
            return USUAL_SAMPLES
        if not self._computed_s:
            return MOST_SAMPLES
        return max(1, min(MOST_SAMPLES, int(_WORK_S * self._sample_count / self._computed_s)))
