"""Where an author's code is called: whatever it does there becomes outputs.

What arrives: a reward and samples. What leaves: one output a sample, in order, or each as soon as it is known.
Everything that an author's code may raise is attributed here, once: errors, ``sys.exit()``, a cancelled sub-task. The
caller's own cancellation passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from rayreward.outcome import failed_output, to_outputs
from rayreward.sample import Sample
from rayreward.types import FailureKind, RewardOutput

_NO_OUTPUT = RewardOutput.failed(FailureKind.INVALID_OUTPUT, "the reward gave no output for this sample")

Answer = Callable[[int, RewardOutput], None]
"""Takes a position and its output; may be called on any thread."""


class AnswersEach(Protocol):
    """A reward that can say each output as soon as it is known."""

    async def answer_each(self, samples: Sequence[Sample], answer: Answer) -> None:
        """Answer every sample; more than once is not forbidden, where it is the same answer."""
        ...


AUTHORS_ERRORS = (Exception, SystemExit, asyncio.CancelledError)
"""What is caught around an author's code: ending its process or its task must not end the loop that scores others."""


def pass_on_cancellation(error: BaseException) -> None:
    """Raise `error` again where it is this task's own cancellation and not the author's."""
    task = asyncio.current_task()
    if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
        raise error


async def score_guarded(
    ascore: Callable[[Sequence[Sample]], Awaitable[Any]], samples: Sequence[Sample]
) -> list[RewardOutput]:
    """One output a sample, whatever a subclass's own `ascore` raises or returns."""
    try:
        outputs = await ascore(samples)
    except AUTHORS_ERRORS as error:
        pass_on_cancellation(error)
        return [failed_output(error) for _ in samples]
    return to_outputs(outputs, len(samples))


async def outputs_of(reward: AnswersEach, samples: Sequence[Sample]) -> list[RewardOutput]:
    """What it answers, in order, when all is known."""
    outputs: dict[int, RewardOutput] = {}
    await reward.answer_each(samples, outputs.__setitem__)
    return [outputs.get(at, _NO_OUTPUT) for at in range(len(samples))]


async def answer_rest_of(reward: AnswersEach, samples: Sequence[Sample], answer: Answer) -> RewardOutput:
    """Have each sample answered when it is known; what those get that were not answered."""
    try:
        await reward.answer_each(samples, answer)
    except AUTHORS_ERRORS as error:
        pass_on_cancellation(error)
        return failed_output(error)
    return _NO_OUTPUT
