"""A runner that is exchanged while it works.

What arrives: batches, and now and then another runner. What leaves: one output a sample, in order, those of slow
samples later, and the version that made them: a batch is scored by one runner from beginning to end. It promises that
an exchange loses no batch: the new runner has started before it is given any, and the old one is stopped when its last
has come back, slow samples too. One that cannot start changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from rayreward.condition import Condition
from rayreward.sample import Sample
from rayreward.types import RewardOutput
from rayreward.workers.outcomes import Outcome
from rayreward.workers.runner import Runner


@dataclass(frozen=True, slots=True)
class Ran:
    """What one runner made of a batch.

    Attributes:
        outcomes: one a sample, in order; those of slow samples come later.
        version: of the runner's reward.
    """

    outcomes: Sequence[Outcome]
    version: str


@dataclass(slots=True)
class _Held:
    """A runner, and how many batches and slow samples it is at."""

    runner: Runner
    call_count: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def leave(self) -> None:
        """A batch, or a slow sample of one, is done."""
        self.call_count -= 1
        if not self.call_count:
            self.idle.set()


class ReplaceableRunner:
    """Runs batches by the runner that is there now.

    Args:
        runner: the first; not started yet.
    """

    def __init__(self, runner: Runner) -> None:
        self._held = _Held(runner)
        self._retiring: dict[asyncio.Task[None], Runner] = {}

    @property
    def version(self) -> str:
        """Of the reward that the next batch is scored by."""
        return self._held.runner.version

    @property
    def crash_loop(self) -> str | None:
        """Of the runner that the next batch is scored by; see `Runner`."""
        return self._held.runner.crash_loop

    @property
    def condition(self) -> Condition:
        """Of the runner that the next batch is scored by; see `Runner`."""
        return self._held.runner.condition

    async def start(self) -> None:
        """Start the first runner.

        Raises:
            RewardLoadError: it cannot load its reward.
        """
        await self._held.runner.start()

    async def run(self, samples: Sequence[Sample]) -> Ran:
        """One output a sample, in order; slow ones later."""
        held = self._held
        held.call_count += 1
        outcomes: Sequence[Outcome] = ()
        try:
            outcomes = await held.runner.begin(samples)
            return Ran(outcomes, held.runner.version)
        finally:
            for outcome in outcomes:
                if not isinstance(outcome, RewardOutput):
                    held.call_count += 1
                    outcome.add_done_callback(lambda _: held.leave())
            held.leave()

    async def replace(self, runner: Runner) -> None:
        """Start another runner and give it all further batches.

        Raises:
            RewardLoadError: it cannot load its reward; the old one goes on.
        """
        await runner.start()
        old, self._held = self._held, _Held(runner)
        task = asyncio.get_running_loop().create_task(_retire(old))
        self._retiring[task] = old.runner
        task.add_done_callback(self._retiring.pop)

    async def stop(self) -> None:
        """Stop every runner, old ones too; what is under way fails as `unavailable`."""
        old = dict(self._retiring)
        for task in old:
            task.cancel()
        await asyncio.gather(*old, return_exceptions=True)
        for runner in (*old.values(), self._held.runner):
            await runner.stop()


async def _retire(held: _Held) -> None:
    while held.call_count:
        held.idle.clear()
        await held.idle.wait()
    await held.runner.stop()
