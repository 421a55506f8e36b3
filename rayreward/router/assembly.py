"""Brings the samples of a prompt together before a group reward sees them.

What arrives: samples of a reward that compares groups: whole groups in one call, or members one by one, in requests of
their own. What leaves: one output a sample, in order; every group travels in one call, under an id that no other group
in the router has. A group that is not whole in time fails as such: scored with fewer, its scores would be others. One
that nobody answers for may be asked for again as a whole; one that was scored in part may not.

A sample's group is its `group_id`, else its run and prompt; its size is its `group_size`, else what its request says,
else the reward's configuration. Where nobody says, a call's samples of one prompt are the group. The asyncio shell
around `GroupBarrier`: one task a group that was waited for.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from rayreward.grouping import missing_members
from rayreward.outcome import failed_output
from rayreward.router.groups import GroupBarrier, OpenGroup
from rayreward.router.terms import Ask, Clock, Terms, too_late
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput


@dataclass(slots=True, eq=False)
class _Party:
    """One call whose members wait in groups."""

    outputs: list[RewardOutput | None]
    missing: int
    done: asyncio.Event


@dataclass(slots=True, eq=False)
class _Member:
    """One sample that waits for its siblings."""

    sample: Sample
    party: _Party
    position: int
    terms: Terms

    def settle(self, output: RewardOutput) -> None:
        self.party.outputs[self.position] = output
        self.party.missing -= 1
        if not self.party.missing:
            self.party.done.set()


class Assembly:
    """The stage in front of a group reward's queue.

    Args:
        ask: the stage behind; it keeps samples of one `group_id` together.
        group_size: of a prompt, where neither sample nor request says.
        group_wait_s: from a group's first member to its last.
        now: the clock, in seconds.
    """

    def __init__(self, ask: Ask, *, group_size: int | None, group_wait_s: float, now: Clock) -> None:
        self._ask, self._group_size, self._wait_s, self._now = ask, group_size, group_wait_s, now
        self._barrier: GroupBarrier[_Member] = GroupBarrier()
        self._numbers = itertools.count()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def open_count(self) -> int:
        """Groups that wait for members."""
        return len(self._barrier)

    async def score(self, samples: Sequence[Sample], terms: Terms) -> list[RewardOutput]:
        """One output a sample, in order."""
        started_s = self._now()
        whole, waiting = self._divide(samples, terms)
        party = _Party([None] * len(samples), len(waiting), asyncio.Event())
        joined = [self._join(key, size, _Member(samples[at], party, at, terms)) for key, size, at in waiting]
        try:
            if whole:
                tagged = [self._tagged([samples[at] for at in members], size=len(members)) for members in whole]
                outputs = iter(await self._ask([sample for members in tagged for sample in members], terms))
                for members in whole:
                    for at, output in zip(members, _final([next(outputs) for _ in members]), strict=True):
                        party.outputs[at] = output
            if party.missing:
                await self._wait(party, terms.after(self._now() - started_s).timeout_s)
        finally:
            for group, member in joined:
                if party.outputs[member.position] is None:
                    self._barrier.leave(group, member)
        late = too_late(terms.timeout_s)
        return [late if output is None else output for output in party.outputs]

    async def close(self) -> None:
        """Give up the groups that are under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _divide(
        self, samples: Sequence[Sample], terms: Terms
    ) -> tuple[list[list[int]], list[tuple[Hashable, int, int]]]:
        """The groups that are whole in this call, and who must wait: with key, size and position."""
        by_key: dict[tuple[str, bool, str], list[int]] = {}
        for at, sample in enumerate(samples):
            has_id = sample.group_id is not None
            by_key.setdefault((terms.caller, has_id, sample.group_id or sample.prompt), []).append(at)
        whole: list[list[int]] = []
        waiting: list[tuple[Hashable, int, int]] = []
        for key, members in by_key.items():
            said = max((samples[at].group_size or 0 for at in members), default=0)
            size = said or terms.group_size or self._group_size
            if size is None:
                whole.append(members)
                continue
            while len(members) >= size and not self._barrier.is_open(key):
                whole.append(members[:size])
                members = members[size:]
            waiting += [(key, size, at) for at in members]
        return whole, waiting

    def _join(self, key: Hashable, size: int, member: _Member) -> tuple[OpenGroup[_Member], _Member]:
        is_first = not self._barrier.is_open(key)
        group = self._barrier.join(key, size, member)
        if group.is_whole:
            task = asyncio.get_running_loop().create_task(self._send(group.members, size))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif is_first:
            asyncio.get_running_loop().call_later(self._wait_s, self._give_up, group)
        return group, member

    def _give_up(self, group: OpenGroup[_Member]) -> None:
        """Fail those who have come: the others have not."""
        members = self._barrier.close(group)
        if members:
            failures = missing_members(self._tagged([member.sample for member in members], size=group.size))
            for member, failure in zip(members, failures, strict=True):
                member.settle(failure)

    async def _send(self, members: Sequence[_Member], size: int) -> None:
        """Score a group that is whole; its most urgent and most patient member speaks for all."""
        limits = [member.terms.timeout_s for member in members]
        known = [limit for limit in limits if limit is not None]
        terms = Terms(
            timeout_s=max(known) if len(known) == len(limits) else None,
            priority=min(member.terms.priority for member in members),
            caller=members[0].terms.caller,
        )
        try:
            tagged = self._tagged([member.sample for member in members], size=size)
            outputs = _final(await self._ask(tagged, terms))
        except asyncio.CancelledError as error:
            outputs = [failed_output(error)] * len(members)
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: nobody else hears of this task's errors
            outputs = [failed_output(error)] * len(members)
        finally:
            for member, output in zip(members, outputs, strict=True):
                member.settle(output)

    async def _wait(self, party: _Party, limit_s: float | None) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await party.done.wait()
        except TimeoutError:
            return  # what has not come is late

    def _tagged(self, members: Sequence[Sample], *, size: int) -> list[Sample]:
        """The samples as one group with an id of its own: another run's group of that name is another group."""
        group_id = f"{members[0].group_id or 'prompt'}#{next(self._numbers)}"
        return [_in_group(sample, group_id, sample.group_size or size) for sample in members]


def _final(outputs: list[RewardOutput]) -> list[RewardOutput]:
    """What nobody answered for, among siblings with scores, is an error: asked for again it would wait for them."""
    lost = [
        at for at, output in enumerate(outputs) if output.failure and output.failure.kind is FailureKind.UNAVAILABLE
    ]
    if not any(output.is_valid for output in outputs):
        return outputs
    for at in lost:
        was = outputs[at]
        text = f"it was unavailable while its siblings were scored ({was.failure})"
        outputs[at] = RewardOutput.failed(FailureKind.ERROR, text, metrics=was.metrics, metadata=was.metadata)
    return outputs


def _in_group(sample: Sample, group_id: str, size: int) -> Sample:
    changed = copy.copy(sample)
    object.__setattr__(changed, "group_id", group_id)  # nobody else has seen this copy yet
    object.__setattr__(changed, "group_size", size)
    return changed
