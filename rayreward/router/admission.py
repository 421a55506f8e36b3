"""How much may wait in the router, and whose turn it is when no more may.

What arrives: requests, as tickets with their samples and bytes. What leaves: whether each may enter, and, as others
leave, which of those that are held at the door may enter now. It counts what is in the router, waiting or under way:
in all, by reward and by caller. It promises that a request that is larger than a limit enters when nothing else is in
its scope, and that nobody who lacks room is overtaken by those who would take it, so that nobody waits for ever; and
that held ones enter most urgent first, callers in turns.

The bookkeeping is pure; `Gate` is its asyncio shell.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pydantic

from rayreward.errors import BackpressureError
from rayreward.router.terms import Clock
from rayreward.router.turns import Turns
from rayreward.strict import StrictModel

_DRAIN_MEMORY_S = 5.0
"""Over which the drain rate is taken: a few batches long, so that one slow batch keeps nobody away for long."""

_RETRY_AFTER_S = (0.1, 30.0)
"""The shortest and the longest time a caller is sent away for; the longest too where nothing has drained yet."""


class WaitingLimit(StrictModel):
    """What may be in the router at once; no limit where left out."""

    max_samples: int | None = pydantic.Field(default=None, ge=1)
    max_bytes: int | None = pydantic.Field(default=None, ge=1)

    @property
    def is_set(self) -> bool:
        """Whether it limits anything."""
        return self.max_samples is not None or self.max_bytes is not None


class AdmissionPolicy(StrictModel):
    """When requests are refused, or held on OpenRLHF's route.

    Attributes:
        turn_wait_s: how long a request that may be refused is held before it is. Without it, those that may not be
            refused would always be there first, and it would never enter; each holds its samples in memory meanwhile.
        total: in the whole router. It keeps the router's process within its memory.
        per_reward: of one reward.
        per_caller: of one run, or of all requests together that name none.
    """

    turn_wait_s: float = pydantic.Field(default=1.0, ge=0, le=60)
    total: WaitingLimit = WaitingLimit(max_samples=1_000_000, max_bytes=8 * 2**30)
    per_reward: WaitingLimit = WaitingLimit()
    per_caller: WaitingLimit = WaitingLimit()


@dataclass(slots=True, eq=False)
class Ticket:
    """One request at the door."""

    reward: str
    caller: str
    rank: int
    samples: int
    size_bytes: int
    on_admit: Callable[[], None] | None = None


@dataclass(slots=True)
class _Scope:
    """What is inside, of those who share a limit."""

    samples: int = 0
    size_bytes: int = 0

    def has_room(self, ticket: Ticket, limit: WaitingLimit) -> bool:
        if not self.samples:  # whoever is alone enters, however large
            return True
        if limit.max_samples is not None and self.samples + ticket.samples > limit.max_samples:
            return False
        return limit.max_bytes is None or self.size_bytes + ticket.size_bytes <= limit.max_bytes

    def add(self, ticket: Ticket, sign: int) -> None:
        self.samples += sign * ticket.samples
        self.size_bytes += sign * ticket.size_bytes


class Blocked(enum.Enum):
    """Whose limit keeps a ticket out."""

    ROUTER = "router"
    REWARD = "reward"
    CALLER = "caller"


class _Line:
    """One look along those who wait for a reward, for the first that may enter.

    Whoever lacks room that others would take is not overtaken: a large request would wait for ever while small ones
    keep coming. One that its own caller's limit keeps out holds up nobody.
    """

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self.blocked_by: Blocked | None = None

    def lets_in(self, ticket: Ticket) -> bool:
        """Whether this one may enter."""
        if self.blocked_by not in (Blocked.ROUTER, Blocked.REWARD):
            self.blocked_by = self._admission.blocks(ticket)
            return self.blocked_by is None
        return False


@dataclass(slots=True)
class AdmissionStats:
    """Counted since the start."""

    refused_count: int = 0
    held_count: int = 0


class Admission:
    """Who is inside and who waits at the door.

    Example:
        >>> policy = AdmissionPolicy(total=WaitingLimit(max_samples=10))
        >>> admission = Admission(policy, now=lambda: 0.0)
        >>> first, second = (Ticket("r", "run", 0, samples=8, size_bytes=1) for _ in range(2))
        >>> admission.enters(first), admission.enters(second)
        (True, False)
        >>> admission.hold(second)
        >>> admission.leave(first) == [second]
        True
    """

    def __init__(self, policy: AdmissionPolicy, *, now: Clock) -> None:
        self._policy, self._now = policy, now
        self._limits_rewards, self._limits_callers = policy.per_reward.is_set, policy.per_caller.is_set
        self._limits_some = self._limits_rewards or self._limits_callers
        self.turn_wait_s = policy.turn_wait_s
        self.total = _Scope()
        self._by_reward: dict[str, _Scope] = {}
        self._by_caller: dict[str, _Scope] = {}
        self._held: dict[str, Turns[Ticket]] = {}
        self._drained, self._drained_at_s = 0.0, now()
        self.held_count = 0
        self.stats = AdmissionStats()

    def enters(self, ticket: Ticket) -> bool:
        """Let the ticket in where there is room and nobody else's turn."""
        if self.held_count:
            self.hold(ticket)
            admitted = self._admit_held()
            if ticket not in admitted:
                self.withdraw(ticket)
            for other in admitted:
                if other is not ticket and other.on_admit is not None:
                    other.on_admit()
            return ticket in admitted
        if self.blocks(ticket) is not None:
            return False
        self._count(ticket, 1)
        return True

    def hold(self, ticket: Ticket) -> None:
        """Let the ticket wait at the door."""
        self._held.setdefault(ticket.reward, Turns()).add(ticket, rank=ticket.rank, caller=ticket.caller)
        self.held_count += 1

    def withdraw(self, ticket: Ticket) -> None:
        """A held ticket waits no longer."""
        turns = self._held.get(ticket.reward)
        if turns is not None and turns.remove(ticket, rank=ticket.rank, caller=ticket.caller):
            self.held_count -= 1
            self._forget_empty(ticket.reward)

    def leave(self, ticket: Ticket) -> list[Ticket]:
        """An admitted ticket is answered; returns those that enter in its place."""
        self._count(ticket, -1)
        now_s = self._now()
        self._drained = self._drained * math.exp((self._drained_at_s - now_s) / _DRAIN_MEMORY_S) + ticket.samples
        self._drained_at_s = now_s
        return self._admit_held() if self.held_count else []

    def retry_after_s(self, ticket: Ticket) -> float:
        """When there may be room for the ticket, at the rate at which samples have left lately."""
        faded = math.exp((self._drained_at_s - self._now()) / _DRAIN_MEMORY_S)
        rate = self._drained * faded / _DRAIN_MEMORY_S
        shortest_s, longest_s = _RETRY_AFTER_S
        return min(max(ticket.samples / rate, shortest_s), longest_s) if rate > 0 else longest_s

    def _admit_held(self) -> list[Ticket]:
        """Let in who has room, a ticket of each reward at a time, until somebody whose turn it is has none."""
        admitted: list[Ticket] = []
        is_anybody_in = True
        while is_anybody_in and self._held:
            is_anybody_in = False
            for reward in list(self._held):
                line = _Line(self)
                ticket = self._held[reward].take(line.lets_in)
                if ticket is not None:
                    self._count(ticket, 1)
                    self.held_count -= 1
                    admitted.append(ticket)
                    is_anybody_in = True
                    self._held[reward] = self._held.pop(reward)  # its next one comes after the other rewards'
                    self._forget_empty(reward)
                elif line.blocked_by is Blocked.ROUTER:
                    return admitted
        return admitted

    def _forget_empty(self, reward: str) -> None:
        if not self._held[reward]:
            del self._held[reward]

    def blocks(self, ticket: Ticket) -> Blocked | None:
        """What has no room for the ticket; None where all have."""
        if not self.total.has_room(ticket, self._policy.total):
            return Blocked.ROUTER
        if not self._limits_some:
            return None
        for scopes, limit, name in self._narrow(ticket):
            scope = scopes.get(name)
            if scope is not None and not scope.has_room(ticket, limit):
                return Blocked.REWARD if scopes is self._by_reward else Blocked.CALLER
        return None

    def _narrow(self, ticket: Ticket) -> Sequence[tuple[dict[str, _Scope], WaitingLimit, str]]:
        """The ticket's reward and caller, where those are limited at all."""
        narrow = []
        if self._limits_rewards:
            narrow.append((self._by_reward, self._policy.per_reward, ticket.reward))
        if self._limits_callers:
            narrow.append((self._by_caller, self._policy.per_caller, ticket.caller))
        return narrow

    def _count(self, ticket: Ticket, sign: int) -> None:
        self.total.add(ticket, sign)
        if not self._limits_some:
            return
        for scopes, _, name in self._narrow(ticket):
            scope = scopes.get(name)
            if scope is None:
                scope = scopes[name] = _Scope()
            scope.add(ticket, sign)
            if not scope.samples:
                del scopes[name]  # names come from the network


class Gate:
    """Lets requests into the router, or holds or refuses them."""

    def __init__(self, admission: Admission) -> None:
        self.admission = admission

    async def enter(self, ticket: Ticket, *, timeout_s: float | None = None) -> None:
        """Let it in, at once or in its turn within the policy's `turn_wait_s`, and no later than `timeout_s`.

        Raises:
            BackpressureError: there is no room; it says when to come again.
        """
        if self.admission.enters(ticket):
            return
        wait_s = min(self.admission.turn_wait_s, self.admission.turn_wait_s if timeout_s is None else timeout_s)
        if wait_s and await self.enter_in_turn(ticket, timeout_s=wait_s):
            return
        self.admission.stats.refused_count += 1
        retry_after_s = self.admission.retry_after_s(ticket)
        raise BackpressureError(
            f"the router holds {self.admission.total.samples} samples and takes no {ticket.samples} more for now; "
            f"try again in {retry_after_s:.1f} s",
            retry_after_s,
        )

    async def enter_in_turn(self, ticket: Ticket, *, timeout_s: float | None) -> bool:
        """Let it in as soon as there is room; False where there was none within `timeout_s`."""
        self.admission.stats.held_count += 1
        entered = asyncio.Event()
        ticket.on_admit = entered.set
        self.admission.hold(ticket)
        try:
            async with asyncio.timeout(timeout_s):
                await entered.wait()
        except TimeoutError:
            pass  # it may have entered in this very turn all the same
        except asyncio.CancelledError:
            if entered.is_set():
                self.leave(ticket)
            self.admission.withdraw(ticket)
            raise
        if not entered.is_set():
            self.admission.withdraw(ticket)
        return entered.is_set()

    def leave(self, ticket: Ticket) -> None:
        """It is answered, or its caller has gone; others may enter."""
        for other in self.admission.leave(ticket):
            if other.on_admit is not None:
                other.on_admit()
