"""One reward in the router: its policies, composed in one place.

What arrives: admitted samples. What leaves: one output a sample, in order. Inwards from the door: known scores and
twins (deterministic rewards), or siblings (group rewards); the breaker; the queue that forms batches; and around each
call halves of a poisoned batch, and the breaker again. Which of them apply is known from the reward's facts, which a
replica tells; a policy that does not apply costs nothing. A call that takes too long is sent twice, where its owner
wishes so: inside the breaker and the halving, which are told one outcome a call.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rayreward.errors import RolloutError
from rayreward.grouping import positions_of_groups
from rayreward.outcome import to_outputs
from rayreward.router.assembly import Assembly
from rayreward.router.backlog import Backlog
from rayreward.router.batching import BatchLimits
from rayreward.router.bisection import bisecting
from rayreward.router.breaker import Breaker, guarded, refusal
from rayreward.router.cache import ResultCache
from rayreward.router.coalescer import Coalescer, Send
from rayreward.router.direct import Direct
from rayreward.router.facts import RewardFacts
from rayreward.router.hedging import HedgeStats, hedged
from rayreward.router.lane_policy import LanePolicy, Slots
from rayreward.router.lookup import Lookup
from rayreward.router.prescale import Prescaled, Wishes
from rayreward.router.prompt_queues import Aimed, PromptQueues
from rayreward.router.rollout import RewardVersions
from rayreward.router.run_names import named
from rayreward.router.sizing import BatchSizer
from rayreward.router.stats import CacheSummary, LaneStats
from rayreward.router.terms import Clock, Terms, too_late
from rayreward.sample import Sample
from rayreward.types import RewardInfo, RewardOutput
from rayreward.wire import VersionsChangeBody

_UNTOLD_S = 1.0
"""Samples that have waited so long since replicas heard of any are worth a call of their own."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a replica does that is not ready yet.

    Attributes:
        doing: "loading weights", "warming up", …
        for_s: seconds since it began to start; None where nobody knows.
    """

    doing: str
    for_s: float | None


@dataclass(slots=True)
class Lane:
    """One reward's way through the router; `open_lane` makes it.

    Attributes:
        coalescer: forms batches and sends them; one queue a replica where prompts belong to replicas; or scores at
            once, where that is in this process.
        is_ready: whether a replica has loaded the reward.
        version: as the last answering replica reported it.
        facts: as a replica told them; those of an older version are asked again.
        wishes: of replicas, before there is work for them.
        can_sleep: whether it may have no replica where nothing is asked for.
        replica_count: that run, as Serve said last; None where it has not been asked.
        slots: how many calls that many take; None where their number says nothing.
        now: the clock, in seconds.
        start: what the replica that starts is at, as far as it has said.
    """

    coalescer: Coalescer | PromptQueues | Direct
    wishes: Wishes = field(default_factory=Wishes.refused)
    can_sleep: bool = False
    description: str | None = None
    is_ready: bool = False
    version: str | None = None
    facts: RewardFacts | None = None
    replica_count: int | None = None
    slots: Slots | None = None
    now: Clock = time.monotonic
    start: Start | None = None
    breaker: Breaker | None = None
    lookup: Lookup | None = None
    assembly: Assembly | None = None
    hedges: HedgeStats = field(default_factory=HedgeStats)
    _learned: asyncio.Event = field(default_factory=asyncio.Event)
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)
    _learner_count: int = 0
    _names_runs: bool = False
    _told_s: float = float("-inf")
    _opened_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._opened_s = self.now()

    def learn(self, facts: RewardFacts) -> None:
        """A replica has told what the reward is."""
        self.facts, self.version, self.description, self.is_ready = facts, facts.version, facts.description, True
        self._names_runs = facts.counts_by_run
        self.coalescer.take_turns(facts.takes_turns)
        self.coalescer.limit_tokens(facts.call_tokens)
        self.start = None
        self._learned.set()

    def note_version(self, version: str) -> None:
        """A replica has answered."""
        self.version, self.is_ready = version, True

    @property
    def needs_facts(self) -> bool:
        """Whether what is known is of another version, or nothing is."""
        return self.facts is None or self.facts.version != self.version

    @property
    def may_be_asked(self) -> bool:
        """Whether a call that carries no sample is welcome: one to a reward that sleeps would wake it for nothing."""
        return not self.can_sleep or bool(self.replica_count) or self._is_wanted

    @property
    def _is_wanted(self) -> bool:
        has_work = self._learner_count or self.coalescer.waiting_count or self.coalescer.stats.in_flight_count
        return bool(has_work or self.wishes.current.replicas)

    @property
    def has_news(self) -> bool:
        """Whether replicas must be told something that no call with samples tells them.

        That is what is wished for, even if it wakes the reward; that it no longer is; and that samples wait behind
        calls which take long, where there may be more replicas: Serve counts the call that cannot be made yet, and
        whichever replica takes it hears how many they are.
        """
        if self.wishes.current.replicas:
            return True
        if self.replica_count is None or self.slots is None:
            return False
        has_waited = bool(self.coalescer.waiting_count) and self.now() - self._told_s >= _UNTOLD_S
        return (self.wishes.is_news and self.replica_count > 0) or (
            has_waited and self.replica_count < self.slots.most_replicas
        )

    async def wait_until_wanted(self, limit_s: float) -> None:
        """Until a sample or a wish needs a replica that has told nothing yet, or for so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._wanted.wait()
        self._wanted.clear()

    def prescale(self, name: str, replicas: int, *, for_s: float) -> Prescaled:
        """Wish for replicas.

        Raises:
            InvalidInputError: their number is fixed.
        """
        answer = self.wishes.ask(name, replicas, for_s=for_s)
        self._wanted.set()
        return answer

    def note_replicas(self, count: int | None) -> None:
        """So many run, as Serve says; None where it says nothing.

        There are as many slots as they take calls at once: what is sent beyond would wait in front of them in small
        batches instead of filling up here. One of four replicas running, that is twice the samples a second, at a third
        of the CPU (64 callers of single samples, 10 ms a batch, on a busy machine of two cores).
        """
        self.replica_count = count
        if self.slots is not None:
            self.coalescer.resize(self.slots.of(count), self.slots.spread(count))

    def backlog(self, told_at_s: float) -> Backlog:
        """What replicas are told with each call; `told_at_s` is by the wall clock."""
        self._told_s = self.now()
        waiting, wish = self.coalescer.waiting, self.wishes.current
        return Backlog(told_at_s, waiting.samples, waiting.size_bytes, waiting.tokens, wish.replicas, wish.left_s)

    @property
    def wants_probe(self) -> bool:
        """Whether the breaker lets one call find out; a True must be followed by `note_probe`."""
        return self.breaker is not None and self.breaker.state == "half-open" and self.breaker.admits()

    def note_probe(self, is_probe: bool, *, was_there: bool) -> None:
        """What the call has found; one that was no probe counts for nothing."""
        if is_probe and self.breaker is not None:
            self.breaker.note(was_there=was_there)

    def parts(self, samples: Sequence[Sample]) -> Sequence[Sequence[int]] | None:
        """Positions of samples that are known together, each part for itself; None where all are.

        To ask for each by itself costs some 15 us: nothing would be won where a replica knows them together.
        """
        if self.facts is not None and not self.facts.knows_each:
            return None
        if self.facts is None or self.facts.compares_groups:
            return positions_of_groups(samples)
        return [[at] for at in range(len(samples))]

    async def score(self, samples: Sequence[Sample], terms: Terms) -> list[RewardOutput]:
        """One output a sample, in order."""
        is_plain = self.lookup is None and self.assembly is None and not self._names_runs
        outputs = await (self._dispatch if is_plain else self._score)(samples, terms)
        for output in reversed(outputs):
            if output.version is not None:
                self.note_version(output.version)
                break
        return outputs

    async def _score(self, samples: Sequence[Sample], terms: Terms) -> list[RewardOutput]:
        if self.facts is None and not await self._learn_in_time(terms.timeout_s):
            return [too_late(terms.timeout_s)] * len(samples)
        facts, run = self.facts, terms.caller if self._names_runs else ""
        if facts is not None and facts.is_reusable and self.lookup is not None and not self.needs_facts:
            return await self.lookup.score(samples, terms, version=facts.version, run=run)
        asked = named(samples, run) if run else samples
        if facts is not None and facts.compares_groups and self.assembly is not None:
            return await self.assembly.score(asked, terms)
        return await self._dispatch(asked, terms)

    async def close(self) -> None:
        """Take nothing more; what is under way fails as `cancelled`."""
        await self.coalescer.close()
        if self.assembly is not None:
            await self.assembly.close()

    async def _dispatch(self, samples: Sequence[Sample], terms: Terms) -> list[RewardOutput]:
        if self.breaker is not None and self.breaker.refuses:
            return [refusal(self.breaker)] * len(samples)
        return await self.coalescer.score(samples, timeout_s=terms.timeout_s, rank=terms.priority, caller=terms.caller)

    async def _learn_in_time(self, timeout_s: float | None) -> bool:
        """Until a replica is there: nothing could be scored earlier anyway."""
        self._learner_count += 1
        self._wanted.set()
        try:
            async with asyncio.timeout(timeout_s):
                await self._learned.wait()
        except TimeoutError:
            return False
        finally:
            self._learner_count -= 1
        return True

    @property
    def state(self) -> str:
        """As `RewardInfo` has it."""
        if self.breaker is not None and self.breaker.state != "closed":
            return "unhealthy"
        if self.can_sleep and self.replica_count == 0:
            return "starting" if self._is_wanted else "idle"
        if self.is_ready:
            return "ready"
        return "starting" if not self.can_sleep or self.replica_count or self._is_wanted else "idle"

    def info(self, name: str) -> RewardInfo:
        """What is said of the reward in public."""
        extra: dict[str, Any] = {}
        if self.breaker is not None and self.breaker.state != "closed":
            extra = {"breaker": self.breaker.state, "retry_in_s": round(self.breaker.retry_in_s, 3)}
        if self.facts is not None and self.facts.is_reusable and self.lookup is not None:
            extra["cache_hit_rate"] = round(self.lookup.stats.hit_rate, 4)
        if wish := self.wishes.current.replicas:
            extra["prescaled_replicas"] = wish
        if self.facts is not None:
            told = {"crash_loop": self.facts.crash_loop, "reload_failure": self.facts.reload_failure}
            extra |= {key: what for key, what in told.items() if what is not None} | dict(self.facts.found)
        if self.state == "starting":
            extra["starting"] = asdict(self.start or self._unsaid_start)
        return RewardInfo(name, self.state, self.version, self.description, self.replica_count, extra)

    @property
    def _unsaid_start(self) -> Start:
        """While no replica says anything: none is placed yet, for want of a GPU perhaps."""
        return Start("waiting for a replica", None if self.is_ready else round(self.now() - self._opened_s, 1))

    def stats(self, name: str) -> LaneStats:
        """What is going on."""
        counted = self.coalescer.stats
        return LaneStats(
            reward=name,
            state=self.state,
            version=self.version,
            waiting_count=self.coalescer.waiting_count,
            in_flight_count=counted.in_flight_count,
            sample_count=counted.sample_count,
            batch_count=counted.batch_count,
            dropped_count=counted.dropped_count,
            failure_counts=dict(counted.failure_counts),
            breaker="closed" if self.breaker is None else self.breaker.state,
            breaker_opened_count=0 if self.breaker is None else self.breaker.opened_count,
            hedged_count=self.hedges.sent_count,
            hedge_won_count=self.hedges.won_count,
            open_group_count=0 if self.assembly is None else self.assembly.open_count,
            cache=None if self.lookup is None else CacheSummary.of(self.lookup),
        )

    def all_stats(self, name: str) -> list[LaneStats]:
        """The same, for rewards that have several versions and those that have one."""
        return [self.stats(name)]

    def versions(self, name: str) -> RewardVersions:
        """The only one."""
        return RewardVersions(name, self.info(name))

    async def change(self, name: str, _change: VersionsChangeBody) -> RewardVersions:
        """Refuse: there is no other.

        Raises:
            RolloutError: always.
        """
        raise RolloutError(
            f"reward {name!r} has one version, and no candidate to give prompts to; configure one under 'candidate' in "
            f"its spec"
        )


def open_lane(
    send: Send,
    *,
    slot_count: int,
    limits: BatchLimits,
    policy: LanePolicy,
    now: Clock,
    sizer: BatchSizer | None = None,
    aimed: Aimed | None = None,
) -> Lane:
    """The lane of one reward.

    Args:
        send: carries a batch to a replica and brings its outputs.
        slot_count: batches under way at once; of one replica, where they are called one by one.
        limits: what one batch may hold.
        policy: how its samples are treated.
        now: the clock, in seconds.
        sizer: how much of the limits a call uses; all of them where left out.
        aimed: the replicas, where each prompt belongs to one.
    """
    breaker, hedges = Breaker(policy.breaker, now=now), HedgeStats()

    def carried(way: Send) -> Send:
        if policy.hedge_after_s is not None:
            way = hedged(way, after_s=policy.hedge_after_s, stats=hedges, again=send)
        halving = bisecting(
            guarded(way, breaker), scores_one_by_one=lambda: lane.facts is None or lane.facts.scores_one_by_one
        )

        async def send_and_land(batch: list[Sample]) -> Sequence[RewardOutput]:
            outputs = await halving(batch)
            if lane.lookup is not None and lane.lookup.is_leading:
                outputs = to_outputs(outputs, len(batch))
                lane.lookup.land(batch, outputs)
            return outputs

        return send_and_land

    def open_queue(replica: str | None = None) -> Coalescer:
        way = send if aimed is None or replica is None else aimed.send_to(replica)
        return Coalescer(carried(way), slot_count=slot_count, limits=limits, now=now, sizer=sizer)

    lane = Lane(
        open_queue() if aimed is None else PromptQueues(aimed.running, open_queue),
        Wishes(policy.replicas, now=now),
        can_sleep=policy.replicas.least == 0,
        now=now,
        breaker=breaker,
        hedges=hedges,
    )
    if policy.cache_entries:
        cache = ResultCache(max_entries=policy.cache_entries, max_bytes=policy.cache_bytes)
        lane.lookup = Lookup(cache, lane._dispatch, now=now)
    lane.assembly = Assembly(lane._dispatch, group_size=policy.group_size, group_wait_s=policy.group_wait_s, now=now)
    return lane
