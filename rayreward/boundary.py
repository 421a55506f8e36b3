"""Where an author's code is called: whatever it does there becomes outputs.

What arrives: a reward and samples. What leaves: one output a sample, in order. Everything that an author's code may
raise is attributed here, once: errors, ``sys.exit()``, a cancelled sub-task. The caller's own cancellation passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from rayreward.outcome import failed_output, to_outputs
from rayreward.types import RewardOutput, Sample

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
