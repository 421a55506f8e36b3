"""A composite's samples on their way through its parts.

What arrives: samples, the parts' rewards, and the rule that combines them. What leaves: each sample's combined output,
as soon as all parts that it needs have answered for it. Where parts are asked in turn, a sample that one of them holds
up holds up no other: those that are known go on to the next part together. Only a part that compares the samples of a
prompt waits for all of them.

Parts may answer on any thread; they are asked on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial

from rayreward.boundary import Answer, answer_rest_of, score_guarded
from rayreward.compose import Part, Rule, combine, gate_is_open
from rayreward.function import RewardFunction
from rayreward.grouping import positions_of_groups
from rayreward.outcome import to_output
from rayreward.sample import Sample
from rayreward.types import RewardOutput


class PartAnswers:
    """What the parts say of each sample; once all that it needs have, that is combined and answered.

    Args:
        parts: in the order in which they are asked, where they are asked in turn.
        rewards: the parts', by name.
        rule: how they are combined.
        samples: one batch.
        answer: called with a position and its output, on whatever thread knows it; where two parts complete a sample
            at once, twice, and alike.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        rewards: Mapping[str, RewardFunction],
        rule: Rule,
        samples: Sequence[Sample],
        answer: Answer,
    ) -> None:
        self._parts, self._rewards, self._rule = parts, rewards, rule
        self._samples, self._answer = samples, answer
        self._said: list[dict[str, RewardOutput]] = [{} for _ in samples]

    async def gather(self) -> None:
        """Ask the parts: side by side, or in turn where the rule may not need them all."""
        if self._rule.method not in ("gate", "first_valid"):
            asked = [_tell(one, self._samples, partial(self._note, name)) for name, one in self._rewards.items()]
            await asyncio.gather(*asked)
            return
        waiting = list(range(len(self._samples)))
        for walk in self._walks():
            needing_more: list[int] = []
            await self._ask(walk, waiting, needing_more)
            waiting = sorted(needing_more)

    def _walks(self) -> list[list[Part]]:
        """The parts that a sample goes through without waiting for others: all, but for those that compare."""
        walks: list[list[Part]] = [[]]
        for part in self._parts:
            if self._rewards[part.name].compares_groups:
                walks += [[part], []]
            else:
                walks[-1].append(part)
        return walks

    async def _ask(self, walk: Sequence[Part], waiting: Sequence[int], needing_more: list[int]) -> None:
        """Ask a walk's first part, and the next about whoever needs it, while others still wait for the first."""
        if not walk or not waiting:
            needing_more += waiting
            return
        part, *further = walk
        reward, wanted, going_on = self._rewards[part.name], frozenset(waiting), _Arrivals()
        asked = _whole_groups(self._samples, waiting) if reward.compares_groups else waiting

        def note(at: int, output: RewardOutput) -> None:
            position = asked[at]
            if position not in wanted or part.name in self._said[position]:
                return
            self._said[position][part.name] = output
            if part is not self._parts[-1] and self._needs_next(part, output):
                going_on.put(position)
            else:
                self._close(position)

        async with asyncio.TaskGroup() as group:
            asking = group.create_task(_tell(reward, [self._samples[position] for position in asked], note))
            asking.add_done_callback(lambda _: going_on.end())
            async for positions in going_on.bunches():
                group.create_task(self._ask(further, positions, needing_more))

    def _needs_next(self, part: Part, output: RewardOutput) -> bool:
        return not output.is_valid if self._rule.method == "first_valid" else gate_is_open(part, output, self._rule)

    def _note(self, name: str, at: int, output: RewardOutput) -> None:
        """A part has answered, where all are asked."""
        self._said[at][name] = output
        if len(self._said[at]) == len(self._parts):
            self._close(at)

    def _close(self, at: int) -> None:
        """Nobody else is asked for this one."""
        self._answer(at, combine(self._parts, self._said[at], self._rule))


class _Arrivals:
    """Positions that come from any thread, one by one; they are taken in bunches of all that have come."""

    def __init__(self) -> None:
        self._loop, self._changed = asyncio.get_running_loop(), asyncio.Event()
        self._come: deque[int] = deque()
        self._is_told = self._is_over = False

    def put(self, position: int) -> None:
        """One has come; the loop is woken once a bunch."""
        self._come.append(position)
        if not self._is_told:
            self._is_told = True
            self._loop.call_soon_threadsafe(self._changed.set)

    def end(self) -> None:
        """None comes any more; on the loop."""
        self._is_over = True
        self._changed.set()

    async def bunches(self) -> AsyncIterator[list[int]]:
        """Until none comes any more."""
        is_over = False
        while not is_over:
            await self._changed.wait()
            self._changed.clear()
            self._is_told, is_over = False, self._is_over  # before they are taken: what comes from here on tells anew
            bunch = []
            while self._come:
                bunch.append(self._come.popleft())
            if bunch:
                yield sorted(bunch)


async def _tell(reward: RewardFunction, samples: Sequence[Sample], tell: Answer) -> None:
    """What one part says of each sample, as soon as it says it."""
    if not reward.answers_each:
        for at, output in enumerate(await score_guarded(reward.ascore, samples)):
            tell(at, output)
        return
    answered: set[int] = set()

    def note(at: int, output: RewardOutput) -> None:
        answered.add(at)
        tell(at, to_output(output))

    rest = await answer_rest_of(reward, samples, note)
    for at in range(len(samples)):
        if at not in answered:
            tell(at, rest)


def _whole_groups(samples: Sequence[Sample], wanted: Sequence[int]) -> list[int]:
    """The positions of all siblings of the samples that are wanted: with fewer to compare, scores would be others."""
    groups = [positions for positions in positions_of_groups(samples) if not set(positions).isdisjoint(wanted)]
    return sorted(position for positions in groups for position in positions)
