"""How many replicas a reward should have.

What arrives: looks at what a reward is asked for, some a second. What leaves: for each a number, and the sentence that
explains it. Up as soon as there is work for more; down to what was needed within the last `downscale_delay_s`, so that
the next burst of a rollout finds the replicas of the one before; to none, where none is the least, when nothing has
been asked for that long. Never below what `prescale` wishes until the wish ends, never above the most.

A look that shows much and is not followed, because Serve waits for a second one, is not remembered: a queue that is
gone a moment later needs no replica that takes seconds to start.

Pure: the clock is given. Only the standard library is imported, and `rayreward.router.backlog`: the policy travels by
value to Serve's controller, where rayreward may not be installed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from rayreward.router.backlog import NEVER_S, ReplicaNumbers

_SLACK_REPLICAS = 0.1
"""Work for so little of a replica starts none: Serve's counts are means over seconds, and the router's own calls of a
few milliseconds, which ask whether a reward is there, are among them."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one replica takes at once.

    Attributes:
        batch_samples, batch_bytes, batch_tokens: that one call carries.
        calls: that it should have under way: Serve's ``target_ongoing_requests``.
    """

    batch_samples: int = 256
    batch_bytes: int = 8 * 2**20
    batch_tokens: int | None = None
    calls: float = 1.0


@dataclass(frozen=True, slots=True)
class Demand:
    """What a reward is asked for, as far as one look shows.

    Attributes:
        waiting_samples, waiting_bytes, waiting_tokens: in the router, in no call yet.
        in_flight_samples: in the replicas now.
        calls: under way or in the handles' queues, as Serve counts them: a mean over seconds.
        idle_s: since a sample was last in a replica.
        told_at_s: when the router said so; an older word than the last one counts for nothing.
        wished_replicas, wish_left_s: what `prescale` asks for, and for how much longer.
        call_tokens: that one call carries, as replicas with a model say; 0 where none does.
    """

    waiting_samples: float = 0.0
    waiting_bytes: float = 0.0
    waiting_tokens: float = 0.0
    in_flight_samples: float = 0.0
    calls: float = 0.0
    idle_s: float = NEVER_S
    told_at_s: float = 0.0
    wished_replicas: int = 0
    wish_left_s: float = 0.0
    call_tokens: float = 0.0

    @classmethod
    def of(cls, replicas: Sequence[ReplicaNumbers], *, calls: float) -> Demand:
        """What the replicas say together: the newest of their words, the sum of their work."""
        if not replicas:
            return cls(calls=calls)
        newest = max(replicas, key=lambda replica: replica.told_at_s)
        return cls(
            waiting_samples=newest.waiting_samples,
            waiting_bytes=newest.waiting_bytes,
            waiting_tokens=newest.waiting_tokens,
            in_flight_samples=sum(replica.in_flight_samples for replica in replicas),
            calls=calls,
            idle_s=min(replica.idle_s for replica in replicas),
            told_at_s=newest.told_at_s,
            wished_replicas=int(newest.wished_replicas),
            wish_left_s=newest.wish_left_s,
            call_tokens=max(replica.call_tokens for replica in replicas),
        )


@dataclass(frozen=True, slots=True)
class Decision:
    """How many, and why."""

    replicas: int
    reason: str

    def __str__(self) -> str:
        return f"{self.replicas}: {self.reason}"


class Scaler:
    """One reward's.

    Args:
        capacity: of a replica.
        downscale_delay_s: how long a number is kept after it was needed last.

    Example:
        >>> scaler = Scaler(Capacity(batch_samples=256), downscale_delay_s=60.0)
        >>> print(scaler.decide(Demand(waiting_samples=1024), current=1, least=1, most=8, now_s=0.0))
        4: 1,024 samples wait, a replica takes 256 at once
        >>> print(scaler.decide(Demand(), current=4, least=1, most=8, now_s=1.0))
        4: as many were needed within the last 60 s
        >>> print(scaler.decide(Demand(), current=4, least=1, most=8, now_s=61.0))
        1: nothing waits, and 1 is the least
    """

    def __init__(self, capacity: Capacity, *, downscale_delay_s: float) -> None:
        self._capacity, self._delay_s = capacity, downscale_delay_s
        self._needed = _Peaks()
        self._current: int | None = None
        self._decided = self._found = 0
        self._told_at_s = 0.0
        self._wished, self._wish_end_s = 0, 0.0

    def decide(self, demand: Demand, *, current: int, least: int, most: int, now_s: float) -> Decision:
        """How many replicas there should be.

        Args:
            demand: what is asked for now.
            current: replicas that there are to be until now.
            least: as configured.
            most: as configured.
            now_s: the clock, in seconds.
        """
        if self._current is None or current > self._current:
            # Started for work that is to be remembered: what we found, or whatever somebody else did it for.
            is_ours = current <= self._decided
            self._needed.note(min(current, self._found) if is_ours else current, now_s)
        self._current = current
        waits = self._believed(demand, now_s)
        needed, why = self._need(demand, waits)
        self._needed.note(min(needed, current), now_s)
        recent = self._needed.highest_since(now_s - self._delay_s)
        if demand.idle_s < self._delay_s:
            recent = max(recent, 1)
        wished = self._wished if now_s < self._wish_end_s else 0
        decision = self._choose(needed, why, recent, wished, least)
        if decision.replicas > most:
            decision = Decision(most, f"{decision.reason}; that is {decision.replicas}, and {most} is the most")
        self._decided, self._found = decision.replicas, max(needed, recent)
        return decision

    def _believed(self, demand: Demand, now_s: float) -> bool:
        """Take in the router's word; False where a newer one is known, whose hearer is gone."""
        if demand.told_at_s < self._told_at_s:
            return False
        if demand.told_at_s > self._told_at_s:
            self._told_at_s = demand.told_at_s
            self._wished, self._wish_end_s = demand.wished_replicas, now_s + demand.wish_left_s
        return True

    def _need(self, demand: Demand, waits: bool) -> tuple[int, str]:
        """Replicas for the work that there is now, and what it is."""
        capacity = self._capacity
        calls = max(demand.calls, demand.in_flight_samples / capacity.batch_samples)
        kinds = [
            (demand.waiting_samples, capacity.batch_samples, "samples"),
            (demand.waiting_bytes, capacity.batch_bytes, "bytes"),
            (demand.waiting_tokens, capacity.batch_tokens or demand.call_tokens or math.inf, "tokens"),
        ]
        waiting, a_call, kind = max(kinds, key=lambda one: one[0] / one[1]) if waits else (0.0, 1.0, "samples")
        replicas = max(0, math.ceil((calls + waiting / a_call) / capacity.calls - _SLACK_REPLICAS))
        if not waiting:
            return replicas, f"{calls:.1f} calls are under way or wait, a replica takes {capacity.calls:g} at once"
        busy = f" and {calls:.1f} calls are under way" if calls >= _SLACK_REPLICAS else ""
        verb = "wait" if waiting != 1 else "waits"
        why = f"{waiting:,.0f} {kind} {verb}{busy}, a replica takes {a_call * capacity.calls:,.0f} at once"
        return max(1, replicas), why

    def _choose(self, needed: int, why: str, recent: int, wished: int, least: int) -> Decision:
        """The highest of them all, with the reason that it is."""
        highest = max(needed, recent, wished, least)
        if highest == 0:
            return Decision(0, f"nothing was asked for within the last {self._delay_s:g} s")
        if needed == highest:
            return Decision(highest, why)
        if wished == highest:
            return Decision(highest, "prescale wishes so")
        if recent == highest:
            return Decision(highest, f"as many were needed within the last {self._delay_s:g} s")
        return Decision(highest, f"{why if needed else 'nothing waits'}, and {least} is the least")


class _Peaks:
    """The highest of the numbers noted since a time; what a higher and later one hides is not kept."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, int]] = deque()

    def note(self, number: int, at_s: float) -> None:
        while self._noted and self._noted[-1][1] <= number:
            self._noted.pop()
        self._noted.append((at_s, number))

    def highest_since(self, since_s: float) -> int:
        while self._noted and self._noted[0][0] <= since_s:
            self._noted.popleft()
        return self._noted[0][1] if self._noted else 0
