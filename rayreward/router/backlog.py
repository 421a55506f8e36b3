"""What waits in the router, and how Serve's controller comes to know of it.

Serve sees calls, never what waits in front of them. So the router says it to a replica with every call, and replicas
publish what they were told last as numbers, which the scaling policy reads. What arrives here: words of the router,
and samples that come and go. What leaves: a replica's numbers. What was told is forgotten when no call has come for a
few seconds: the router may be gone, and its last word must hold up no replica.

Only the standard library is imported here: the policy travels by value to the controller, where rayreward may not be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple


class Backlog(NamedTuple):
    """The router's word, sent along with each call.

    Attributes:
        told_at_s: when, by the router's wall clock; of several words the newest counts.
        waiting_samples: that no call carries yet.
        waiting_bytes: of those.
        waiting_tokens: of those, where tokens are counted.
        wished_replicas: that `prescale` asks for; 0 where it does not.
        wish_left_s: how much longer.
    """

    told_at_s: float
    waiting_samples: int = 0
    waiting_bytes: int = 0
    waiting_tokens: int = 0
    wished_replicas: int = 0
    wish_left_s: float = 0.0


NEVER_S = 1e9
"""How long ago something was that has never been: a number, for Serve takes nothing else."""


class ReplicaNumbers(NamedTuple):
    """What one replica publishes.

    Attributes:
        told_at_s, waiting_samples, waiting_bytes, waiting_tokens: the router's last word, as far as it is remembered.
        wished_replicas, wish_left_s: remembered until the wish ends, whatever else is forgotten.
        in_flight_samples: in this replica now.
        idle_s: since a sample was last here; 0 while one is.
        call_tokens: that one call to it should carry; 0 where its reward counts none.
    """

    told_at_s: float = 0.0
    waiting_samples: float = 0.0
    waiting_bytes: float = 0.0
    waiting_tokens: float = 0.0
    wished_replicas: float = 0.0
    wish_left_s: float = 0.0
    in_flight_samples: float = 0.0
    idle_s: float = NEVER_S
    call_tokens: float = 0.0

    def published(self) -> dict[str, float]:
        """As Serve's ``record_autoscaling_stats`` wants it."""
        return {_PREFIX + name: float(value) for name, value in zip(self._fields, self, strict=True)}

    @classmethod
    def read(cls, published: Mapping[str, float]) -> ReplicaNumbers:
        """From what was published; what is missing has its default."""
        return cls(**{name: published[_PREFIX + name] for name in cls._fields if _PREFIX + name in published})


_PREFIX = "rayreward_"
"""Serve's own numbers lie beside ours."""

_FORGET_AFTER_S = 3.0
"""Between two calls of a busy router lie milliseconds; a longer memory holds replicas up that nobody needs."""


class BacklogMemory:
    """What a replica knows.

    Args:
        now: the clock, in seconds.

    Example:
        >>> memory = BacklogMemory(now=lambda: 5.0)
        >>> memory.enter(2, Backlog(told_at_s=100.0, waiting_samples=512))
        >>> memory.numbers().waiting_samples, memory.numbers().in_flight_samples
        (512, 2)
    """

    def __init__(self, *, now: Callable[[], float]) -> None:
        self._now = now
        self._told = Backlog(0.0)
        self._told_s = -NEVER_S
        self._left_s: float | None = None
        self._call_count = self._sample_count = 0

    def hear(self, told: Backlog) -> None:
        """The router's word."""
        if told.told_at_s >= self._told.told_at_s:
            self._told, self._told_s = told, self._now()

    def enter(self, sample_count: int, told: Backlog | None) -> None:
        """A call has come; a `leave` of as many samples must follow."""
        self._call_count += 1
        self._sample_count += sample_count
        if told is not None:
            self.hear(told)

    def leave(self, sample_count: int) -> None:
        """It has ended."""
        self._call_count -= 1
        self._sample_count -= sample_count
        self._left_s = self._now()

    def numbers(self) -> ReplicaNumbers:
        """What is to be published now."""
        now_s, told = self._now(), self._told
        is_fresh = bool(self._call_count) or now_s - max(self._told_s, self._left_s or 0.0) < _FORGET_AFTER_S
        wish_left_s = max(0.0, self._told_s + told.wish_left_s - now_s)
        idle_s = NEVER_S if self._left_s is None else now_s - self._left_s
        return ReplicaNumbers(
            told_at_s=told.told_at_s,
            waiting_samples=told.waiting_samples if is_fresh else 0,
            waiting_bytes=told.waiting_bytes if is_fresh else 0,
            waiting_tokens=told.waiting_tokens if is_fresh else 0,
            wished_replicas=told.wished_replicas if wish_left_s else 0,
            wish_left_s=wish_left_s,
            in_flight_samples=self._sample_count,
            idle_s=0.0 if self._call_count else idle_s,
        )
