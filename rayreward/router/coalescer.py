"""Many callers, few calls: the asyncio shell around `BatchQueue`.

What arrives: `score` calls of any size, at any time. What leaves: batches to `send`, at most `slot_count` under way;
and to every caller exactly one output a sample, in its order, whatever happens to the batches. A caller that leaves,
or whose deadline passes, takes its waiting samples with it, and a batch under way that nobody waits for any longer is
cancelled. A call may be answered without its slow samples: whoever waits for others has theirs at once, and the slow
ones are asked for again, each by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from rayreward.batches import AskedAgain, EarlyBatch, OutputBatch, SampleBatch
from rayreward.outcome import failed_output, to_outputs
from rayreward.router.affinity import prompt_key
from rayreward.router.batching import BatchLimits, BatchQueue, Unit, Waiting
from rayreward.router.sizing import BatchSizer, Spread
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput, Timings


@dataclass(frozen=True, slots=True)
class Gather:
    """Wait for callers that come one by one because they come from other threads.

    Attributes:
        caller_count: how many can ask at once: when all do, their batch leaves.
        quiet_s: it leaves too when nobody has come for so long.
    """

    caller_count: int
    quiet_s: float


Send = Callable[[list[Sample]], Awaitable[Sequence[RewardOutput]]]


@dataclass(slots=True, eq=False)
class _Call:
    """One caller's samples and what is known of them."""

    samples: Sequence[Sample]
    arrived_s: float
    outputs: list[RewardOutput | None]
    missing: int
    done: asyncio.Future[None]
    is_abandoned: bool = False


Entry = tuple[_Call, int]
"""A call, and the position of one of its samples."""


class _Deadline:
    """One timer for the callers who came together and wait equally long."""

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout_s: float, *, on_pass: Callable[[], None]) -> None:
        self._waiting: set[_Call] = set()
        self._on_pass = on_pass
        self._timer = loop.call_later(timeout_s, self._pass)
        self.is_over = False

    def add(self, call: _Call) -> None:
        """Give `call` up when the time is over."""
        self._waiting.add(call)

    def discard(self, call: _Call) -> None:
        """`call` waits no longer; nothing of it is kept."""
        self._waiting.discard(call)
        if not self._waiting:
            self._timer.cancel()
            self.is_over = True

    def _pass(self) -> None:
        self.is_over = True
        for call in self._waiting:
            call.is_abandoned = True
            if not call.done.done():
                call.done.set_result(None)
        self._on_pass()


@dataclass(slots=True)
class _Turn:
    """One turn of the loop: whoever comes in it has come at the same time."""

    arrived_s: float
    deadlines: dict[float, _Deadline] = field(default_factory=dict)


@dataclass(slots=True)
class CoalescerStats:
    """What went through, counted since the start."""

    sample_count: int = 0
    batch_count: int = 0
    dropped_count: int = 0
    in_flight_count: int = 0
    failure_counts: dict[str, int] = field(default_factory=dict)

    def count(self, outputs: Sequence[RewardOutput]) -> None:
        """These came back."""
        self.sample_count += len(outputs)
        for output in outputs:
            if output.failure is not None:
                kind = output.failure.kind.value
                self.failure_counts[kind] = self.failure_counts.get(kind, 0) + 1


class Coalescer:
    """Collects samples of all callers into batches for one destination.

    Args:
        send: carries a batch away and brings its outputs; what it raises becomes a failure of each of its samples.
        slot_count: batches under way at once. Enough to keep every replica busy, few enough that batches fill.
        full_slot_count: further ones, for batches that hold all that the limits allow: they could not fill any more.
        limits: what one batch may hold.
        now: the clock, in seconds.
        gather: for callers on other threads, who cannot ask in one turn of the loop; none by default.
        sizer: how much of the limits a call uses; all of them by default.
    """

    def __init__(
        self,
        send: Send,
        *,
        slot_count: int,
        limits: BatchLimits,
        now: Callable[[], float],
        full_slot_count: int = 0,
        gather: Gather | None = None,
        sizer: BatchSizer | None = None,
    ) -> None:
        self._send, self._slot_count, self._now = send, slot_count, now
        self._free_slots, self._full_slot_count = slot_count + full_slot_count, full_slot_count
        self._queue: BatchQueue[Entry] = BatchQueue(limits)
        self._configured_tokens, self._counts_tokens = limits.max_tokens, limits.max_tokens is not None
        self._keeps_siblings = False
        self._gather, self._sizer = gather, sizer
        self._pump_timer: asyncio.Handle | None = None
        self._turn: _Turn | None = None
        self._is_closed = False
        self._under_way: dict[asyncio.Task[None], list[Entry]] = {}
        self._sweep: asyncio.Handle | None = None
        self.stats = CoalescerStats()

    @property
    def waiting_count(self) -> int:
        """Samples that no batch has taken yet."""
        return len(self._queue)

    @property
    def waiting(self) -> Waiting:
        """How much they are."""
        return self._queue.waiting

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self._queue and not self._under_way

    async def score(
        self, samples: Sequence[Sample], *, timeout_s: float | None = None, rank: int = 0, caller: str = ""
    ) -> list[RewardOutput]:
        """One output a sample, in order; those without an answer after `timeout_s` fail as `timeout`.

        `rank` 0 leaves first; callers of one rank take turns.
        """
        if not samples:
            return []
        if self._is_closed:
            return [closed_output() for _ in samples]
        loop = asyncio.get_running_loop()
        turn = self._turn
        if turn is None or self._gather is not None:  # who gathers waits for longer than a turn
            turn = self._turn = _Turn(self._now())
        call = _Call(samples, turn.arrived_s, [None] * len(samples), len(samples), loop.create_future())
        units = _units(call, counts_tokens=self._counts_tokens)
        if self._keeps_siblings:
            prompts = [prompt_key(samples[items[0][1]]) for items, _, _ in units]
            self._queue.extend_siblings(units, prompts, item_count=len(samples), rank=rank, caller=caller)
        else:
            self._queue.extend(units, item_count=len(samples), rank=rank, caller=caller)
        self._schedule_pump(loop)
        deadline = None
        if timeout_s is not None:
            deadline = turn.deadlines.get(timeout_s)
            if deadline is None or deadline.is_over:
                deadline = turn.deadlines[timeout_s] = _Deadline(loop, timeout_s, on_pass=self._schedule_sweep)
            deadline.add(call)
        try:
            await call.done
        except asyncio.CancelledError:
            call.is_abandoned = True
            self._schedule_sweep()
            raise
        finally:
            if deadline is not None:
                deadline.discard(call)
        if not call.missing:
            return OutputBatch(call.outputs)  # type: ignore[arg-type]  # nothing is missing: each is an output
        late = RewardOutput.failed(FailureKind.TIMEOUT, f"no answer within {timeout_s} s, queueing included")
        return OutputBatch(late if output is None else output for output in call.outputs)

    def take_turns(self, takes_turns: bool) -> None:
        """Whether a replica takes its calls in turn: see `BatchSizer`."""
        if self._sizer is not None:
            self._sizer.takes_turns = takes_turns

    def limit_tokens(self, call_tokens: int | None) -> None:
        """What the reward says that a call should carry; what is configured goes before it.

        A model counts tokens, and computes the prompt of samples once that come together: so they do.
        """
        self._keeps_siblings = call_tokens is not None
        if self._configured_tokens is None:
            self._counts_tokens = call_tokens is not None
            self._queue.limit_tokens(call_tokens)

    def resize(self, slot_count: int, spread: Spread | None = None) -> None:
        """Have so many slots from now on, over these replicas; batches that are under way are left to their end."""
        if self._sizer is not None and spread is not None:
            self._sizer.spread_over(spread)
        more, self._slot_count = slot_count - self._slot_count, slot_count
        self._free_slots += more
        if more > 0 and self._queue:
            self._schedule_pump(asyncio.get_running_loop())

    def _schedule_pump(self, loop: asyncio.AbstractEventLoop) -> None:
        """Form batches after everything that is ready now has run: callers of one burst then travel together."""
        if self._gather is None:
            self._pump_timer = self._pump_timer or loop.call_soon(self._pump)
            return
        if self._pump_timer is not None:
            self._pump_timer.cancel()
        have_all_come = len(self._queue) >= self._gather.caller_count
        quiet_s = 0.0 if have_all_come else self._gather.quiet_s
        self._pump_timer = loop.call_later(quiet_s, self._pump)

    def _pump(self) -> None:
        self._pump_timer = self._turn = None
        while self._may_send():
            size = self._next_size()
            if size == 0:
                break  # the next arrival, or the next call that comes back, asks again
            entries = [entry for entry in self._queue.take(size) if not self._is_dropped(entry[0])]
            if not entries:
                continue
            self._free_slots -= 1
            self.stats.batch_count += 1
            self.stats.in_flight_count += len(entries)
            task = asyncio.get_running_loop().create_task(self._dispatch(entries))
            self._under_way[task] = entries
            task.add_done_callback(self._under_way.pop)

    def _schedule_sweep(self) -> None:
        """Look once for all who leave together: each look goes through everything that is under way."""
        if self._sweep is None and self._under_way:
            self._sweep = asyncio.get_running_loop().call_soon(self._cancel_unwanted)

    def _cancel_unwanted(self) -> None:
        self._sweep = None
        loop = asyncio.get_running_loop()
        for task, entries in list(self._under_way.items()):
            if all(call.is_abandoned for call, _ in entries):
                loop.call_soon(task.cancel)  # not before it has begun: it would never give its slot back

    def _may_send(self) -> bool:
        if self._free_slots > self._full_slot_count:
            return bool(self._queue)
        return self._free_slots > 0 and self._queue.has_full_batch

    def _next_size(self) -> int | None:
        if self._sizer is None:
            return None
        busy_slots = self._slot_count + self._full_slot_count - self._free_slots
        return self._sizer.size(waiting=len(self._queue), free_slots=self._free_slots, busy_slots=busy_slots)

    def _is_dropped(self, call: _Call) -> bool:
        if call.is_abandoned:
            self.stats.dropped_count += 1
        return call.is_abandoned

    async def _dispatch(self, entries: list[Entry]) -> None:
        left_s = self._now()
        outputs: Sequence[RewardOutput] = []
        try:
            outputs = await self._send(SampleBatch(call.samples[position] for call, position in entries))
            outputs = to_outputs(outputs, len(entries))
            self._note_work(outputs)
        except asyncio.CancelledError as error:
            outputs = [failed_output(error)] * len(entries)
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: whatever broke the call is a failure of its samples
            outputs = [failed_output(error)] * len(entries)
        finally:
            self._free_slots += 1
            if isinstance(outputs, EarlyBatch):
                self._ask_again(entries, outputs.tickets, left_s)
                entries, outputs = outputs.known(entries), outputs.known(outputs)
            self.stats.in_flight_count -= len(entries)
            self._deliver(entries, outputs, left_s)
            if self._gather is None:
                self._pump()
            elif self._queue:
                self._schedule_pump(asyncio.get_running_loop())

    def _ask_again(self, entries: list[Entry], tickets: Mapping[int, str], left_s: float) -> None:
        """Ask for the slow samples of a call that was answered without them: in no slot.

        A slot is what a replica works in; these have processes of their own there, or wait, and it bounds them.
        """
        late = [entries[position] for position in tickets]
        task = asyncio.get_running_loop().create_task(self._await_rest(late, list(tickets.values()), left_s))
        self._under_way[task] = late
        task.add_done_callback(self._under_way.pop)
        if any(call.is_abandoned for call, _ in late):
            self._schedule_sweep()

    async def _await_rest(self, late: list[Entry], tickets: Sequence[str], left_s: float) -> None:
        """Until all of them are known; `late` shrinks meanwhile. Whoever gave the tickets holds each question."""
        try:
            while late:
                asked = AskedAgain.by(tickets, [call.samples[position] for call, position in late])
                outputs = to_outputs(await self._send(asked), len(late))
                still = outputs.tickets if isinstance(outputs, EarlyBatch) else {}
                known = [at for at in range(len(late)) if at not in still]
                self._deliver_late([late[at] for at in known], [outputs[at] for at in known], left_s)
                wanted = [at for at in still if not late[at][0].is_abandoned]
                gone = [late[at] for at in still if late[at][0].is_abandoned]
                self._deliver_late(gone, [failed_output(asyncio.CancelledError())] * len(gone), left_s)
                tickets, late[:] = [still[at] for at in wanted], [late[at] for at in wanted]
        except asyncio.CancelledError as error:
            self._deliver_late(late, [failed_output(error)] * len(late), left_s)
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: as for every call
            self._deliver_late(late, [failed_output(error)] * len(late), left_s)

    def _deliver_late(self, entries: Sequence[Entry], outputs: Sequence[RewardOutput], left_s: float) -> None:
        self.stats.in_flight_count -= len(entries)
        self._deliver(entries, outputs, left_s)

    def _note_work(self, outputs: Sequence[RewardOutput]) -> None:
        """What the call took to compute, where its replica says."""
        times = outputs[0].timings
        if self._sizer is not None and times is not None and not isinstance(outputs, EarlyBatch):
            self._sizer.note(samples=len(outputs), computed_s=times.computed_s)

    def _deliver(self, entries: Sequence[Entry], outputs: Sequence[RewardOutput], left_s: float) -> None:
        scored_s = self._now() - left_s
        self.stats.count(outputs)
        timings = _timings(entries, outputs, left_s, scored_s)
        for (call, position), output in zip(entries, OutputBatch.stamped(outputs, timings=timings), strict=True):
            call.outputs[position] = output
            call.missing -= 1
            if not call.missing and not call.done.done():
                call.done.set_result(None)

    async def close(self) -> None:
        """Cancel what is under way and take nothing more; samples without an answer fail as `cancelled`."""
        self._is_closed = True
        while entries := self._queue.take():
            self._deliver(entries, [closed_output()] * len(entries), self._now())
        while self._under_way:
            await asyncio.sleep(0)  # what was cancelled before it has begun would deliver nothing
            tasks = list(self._under_way)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _units(call: _Call, *, counts_tokens: bool) -> list[Unit[Entry]]:
    """What travels together, with its bytes and its tokens: a group's samples, else a sample alone."""
    samples = call.samples
    if len(samples) == 1:  # as mostly
        [sample] = samples
        return [(((call, 0),), sample.size_bytes, sample.token_count if counts_tokens else 0)]
    if not counts_tokens and all(sample.group_id is None for sample in samples):
        return [(((call, position),), sample.size_bytes, 0) for position, sample in enumerate(samples)]
    groups: dict[object, list[int]] = {}
    for position, sample in enumerate(samples):
        groups.setdefault(position if sample.group_id is None else sample.group_id, []).append(position)
    return [
        (
            [(call, position) for position in members],
            sum([samples[position].size_bytes for position in members]),
            sum([samples[position].token_count for position in members]) if counts_tokens else 0,
        )
        for members in groups.values()
    ]


def _timings(
    entries: Sequence[Entry], outputs: Sequence[RewardOutput], left_s: float, scored_s: float
) -> list[Timings]:
    """Each sample's times; neighbours of one burst share theirs, which travels cheaper."""
    timings: list[Timings] = []
    arrived_s, computed = -1.0, None
    for (call, _), output in zip(entries, outputs, strict=True):
        if not timings or call.arrived_s != arrived_s or output.timings is not computed:
            arrived_s, computed = call.arrived_s, output.timings
            computed_s = 0.0 if computed is None else computed.computed_s
            times = Timings(left_s - arrived_s, scored_s, computed_s, len(entries))
        timings.append(times)
    return timings


def closed_output() -> RewardOutput:
    """Of a sample that comes too late."""
    return RewardOutput.failed(FailureKind.CANCELLED, "the service was closed before this sample was scored")
