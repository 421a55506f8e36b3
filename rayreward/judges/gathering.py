"""Many questions at once, of which some may stay without an answer.

What arrives: coroutines and a limit. What leaves: for each, in order, what it returned or the failure that it became;
when the limit has passed, what is known by then must do. The caller's own cancellation passes, and ends them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from rayreward.judges.asking import failure_of
from rayreward.types import Failure, FailureKind

T = TypeVar("T")


async def gather_within(questions: Sequence[Coroutine[Any, Any, T]], limit_s: float) -> list[T | Failure]:
    """One answer or failure each, in order, after `limit_s` at most."""
    tasks: list[asyncio.Task[T]] = [asyncio.ensure_future(question) for question in questions]
    try:
        if tasks:
            await asyncio.wait(tasks, timeout=limit_s)
    finally:
        unfinished = [task for task in tasks if not task.done()]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
    return [_answer_of(task, limit_s) for task in tasks]


def _answer_of(task: asyncio.Task[T], limit_s: float) -> T | Failure:
    if task.cancelled():
        return Failure(FailureKind.TIMEOUT, f"the judge gave no answer within {limit_s:g} s")
    error = task.exception()
    if error is None:
        return task.result()
    if not isinstance(error, Exception):
        raise error
    return failure_of(error).failure or Failure(FailureKind.ERROR, str(error))


def commonest(failures: Sequence[Failure]) -> Failure:
    """The failure that there was most of; the first of these where several were as many."""
    kinds = [failure.kind for failure in failures]
    return max(failures, key=lambda failure: kinds.count(failure.kind))
