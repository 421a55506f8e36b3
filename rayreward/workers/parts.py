"""A composite whose parts run each where its own isolation says.

What arrives: a composite, and how one reward is run. What leaves: a runner of the whole. It promises that beside a
model or a judge a function of one's own still has a process that can be killed, and that a sample that hangs in one
part costs itself, and holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from rayreward.boundary import Answer, outputs_of
from rayreward.condition import Condition
from rayreward.function import Isolation, RewardFunction
from rayreward.sample import Sample
from rayreward.types import RewardOutput
from rayreward.workers.outcomes import settled
from rayreward.workers.runner import InlineRunner, Runner

if TYPE_CHECKING:
    from rayreward.rewards import CompositeReward  # all built-in rewards, in every process that scores


class PlacedPart(RewardFunction):
    """A part that runs somewhere else, as its composite sees it.

    Args:
        reward: the part.
        runner: where it runs.
    """

    isolation: Isolation = "inline"
    answers_each = True
    only_waits = False

    def __init__(self, reward: RewardFunction, runner: Runner) -> None:
        self._reward, self.runner = reward, runner
        self.name, self.timeout_s = reward.name, reward.timeout_s

    @property
    def compares_groups(self) -> bool:
        """As the part does."""
        return self._reward.compares_groups

    @property
    def is_async(self) -> bool:
        """It is waited for."""
        return True

    @property
    def serving_condition(self) -> Condition:
        """As its runner knows it."""
        return self.runner.condition

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample, in order."""
        return await outputs_of(self, samples)

    async def answer_each(self, samples: Sequence[Sample], answer: Answer) -> None:
        """What is known together, and slow samples each when it is known."""
        outcomes = await self.runner.begin(samples)
        for at, outcome in enumerate(outcomes):
            if isinstance(outcome, RewardOutput):
                answer(at, outcome)
            else:
                outcome.add_done_callback(partial(_tell, answer, at))
        await settled(outcomes)


def _tell(answer: Answer, at: int, late: asyncio.Future[RewardOutput]) -> None:
    if not late.cancelled():
        answer(at, late.result())


class PartsRunner(InlineRunner):
    """Combines on the event loop what the parts' own runners say; inline parts are asked there, too.

    Args:
        reward: the composite.
        build: the runner of a part with its deadline in seconds.
        timeout_s: the composite's deadline for a sample. Where it is no more than its parts' own, each has its own.
    """

    def __init__(
        self, reward: CompositeReward, *, build: Callable[[RewardFunction, float], Runner], timeout_s: float
    ) -> None:
        parts = reward.rewards.values()
        is_own = timeout_s == max(part.timeout_s for part in parts)
        self._placed_parts = {
            name: PlacedPart(part, build(part, part.timeout_s if is_own else timeout_s))
            for name, part in reward.rewards.items()
            if part.isolation != "inline"
        }
        self._inline = [part for part in parts if part.isolation == "inline"]
        super().__init__(reward.with_rewards({**reward.rewards, **self._placed_parts}), timeout_s=timeout_s)
        self._version = reward.version

    @property
    def crash_loop(self) -> str | None:
        """That of the first part that has one."""
        found = ((name, placed.runner.crash_loop) for name, placed in self._placed_parts.items())
        return next((f"{name}: {why}" for name, why in found if why is not None), None)

    async def start(self) -> None:
        """Start all parts at once; where one cannot, none is left."""
        starting = [placed.runner.start() for placed in self._placed_parts.values()]
        try:
            await asyncio.gather(*starting, *(asyncio.to_thread(part.load) for part in self._inline))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop every part; what is under way fails as `unavailable`."""
        stopping = [placed.runner.stop() for placed in self._placed_parts.values()]
        await asyncio.gather(*stopping, *(asyncio.to_thread(part.unload) for part in self._inline))
