"""Outputs of a batch that another thread finds, one after the other.

What arrives: outputs with their positions, from any thread, in any order. What leaves, on the event loop: what is known
when it is asked for, and futures of the rest. Each position is answered once; what comes later for it is nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from rayreward.outcome import to_output
from rayreward.types import RewardOutput
from rayreward.workers.outcomes import Outcome


class Answers:
    """Of `count` samples; made on the event loop that asks for the outcomes."""

    def __init__(self, count: int) -> None:
        self._outputs: list[RewardOutput | None] = [None] * count
        self._late: dict[int, asyncio.Future[RewardOutput]] = {}
        self._loop = asyncio.get_running_loop()

    def answer(self, position: int, output: RewardOutput) -> None:
        """An output is known; on any thread."""
        self._outputs[position] = to_output(output)
        if position in self._late:  # in this order: `outcomes` makes the future first, and looks for the output then
            self._loop.call_soon_threadsafe(self._settle, position)

    @property
    def open_count(self) -> int:
        """How many are not known."""
        return sum(output is None for output in self._outputs)

    def answer_rest(self, output: RewardOutput) -> None:
        """What was not answered will not be."""
        for position, known in enumerate(self._outputs):
            if known is None:
                self._outputs[position] = output
                self._settle(position)

    def outcomes(self, *, on_over: Callable[[], object]) -> list[Outcome]:
        """What is known, and futures of the rest; `on_over` is called when all of those are known, or given up."""
        for position, known in enumerate(self._outputs):
            if known is None:
                self._late[position] = late = self._loop.create_future()
                late.add_done_callback(lambda _: on_over() if self._is_over else None)
        for position in self._late:
            self._settle(position)
        known_or_late = (self._late.get(position) or output for position, output in enumerate(self._outputs))
        return [outcome for outcome in known_or_late if outcome is not None]  # none is: what is not known is late

    @property
    def _is_over(self) -> bool:
        return all(late.done() for late in self._late.values())

    def _settle(self, position: int) -> None:
        late, output = self._late.get(position), self._outputs[position]
        if late is not None and output is not None and not late.done():
            late.set_result(output)
