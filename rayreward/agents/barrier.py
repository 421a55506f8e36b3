"""The ended episodes of a prompt, scored in one call.

What arrives: episodes of one group as they end, and word of those that will not come. What leaves: an answer for each.
What it promises: nobody waits longer than its bound; whoever comes later is scored alone; failed episodes hold up
nobody; the group size that a reward sees is the number of samples in its call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from rayreward.agents.groups import Group
from rayreward.agents.scorer import Scorer
from rayreward.sample import Sample
from rayreward.trainers.openrlhf import TrainerAnswer


@dataclass(slots=True)
class Meeting:
    """Who of a group has come, pure.

    Attributes:
        size: how many could come.
        samples: who came in time.
        is_over: whether its samples are being scored.
    """

    size: int
    samples: list[Sample] = field(default_factory=list)
    known_count: int = 0
    is_over: bool = False

    def arrive(self, sample: Sample) -> int | None:
        """The sample's place, or None where it is too late."""
        self.known_count += 1
        if self.is_over:
            return None
        self.samples.append(sample)
        return len(self.samples) - 1

    def miss(self) -> None:
        """One that will not come."""
        self.known_count += 1

    @property
    def is_complete(self) -> bool:
        """Whether nobody is left to wait for."""
        return self.known_count >= self.size


@dataclass(slots=True)
class _Room:
    meeting: Meeting
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    scoring: asyncio.Task[list[TrainerAnswer]] | None = None


class Barrier:
    """Holds ended episodes until their group is complete. Each member calls either `answer` or `miss`, once.

    Args:
        scorer: scores them.
        wait_s: how long an episode waits for the others.
    """

    def __init__(self, scorer: Scorer, wait_s: float) -> None:
        self._scorer, self._wait_s = scorer, wait_s
        self._rooms: dict[str, _Room] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    async def answer(self, group: Group, sample: Sample) -> TrainerAnswer:
        """The sample's answer, when its group was scored."""
        room = self._enter(group)
        place = room.meeting.arrive(sample)
        self._leave_if_complete(group, room)
        if place is None:
            return (await self._scorer.answer(_together([sample])))[0]
        await _wait(room.complete, self._wait_s)
        if room.scoring is None:
            room.meeting.is_over = True
            room.scoring = asyncio.ensure_future(self._scorer.answer(_together(room.meeting.samples)))
        # One waiter's cancellation must not take the others' answers along.
        return (await asyncio.shield(room.scoring))[place]

    def miss(self, group: Group) -> None:
        """One of the group will not come."""
        room = self._enter(group)
        room.meeting.miss()
        self._leave_if_complete(group, room)

    def _enter(self, group: Group) -> _Room:
        return self._rooms.setdefault(group.id, _Room(Meeting(group.size)))

    def _leave_if_complete(self, group: Group, room: _Room) -> None:
        if room.meeting.is_complete:
            room.complete.set()
            del self._rooms[group.id]


async def _wait(event: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await event.wait()
    except TimeoutError:
        return  # the bound: who is here by now is scored


def _together(samples: Sequence[Sample]) -> list[Sample]:
    """The samples as a group of their number."""
    return [
        Sample(
            prompt=sample.prompt,
            response=sample.response,
            label=sample.label,
            metadata=sample.metadata,
            group_id=sample.group_id,
            group_size=len(samples),
        )
        for sample in samples
    ]
