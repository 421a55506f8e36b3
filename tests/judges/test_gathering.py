from __future__ import annotations

import asyncio

import pytest

from rayreward.errors import AuthenticationError, ServiceUnavailableError
from rayreward.judges.gathering import commonest, gather_within
from rayreward.judges.verdicts import UnparseableError
from rayreward.types import Failure, FailureKind


async def said(value: int | Exception) -> int:
    if isinstance(value, Exception):
        raise value
    return value


async def test_answers_and_failures_come_in_order() -> None:
    errors = [UnparseableError("no verdict"), ServiceUnavailableError("gone"), AuthenticationError("key"), ValueError()]
    answers = await gather_within([said(1), *map(said, errors), said(2)], 30.0)
    kinds = [answer.kind.value if isinstance(answer, Failure) else answer for answer in answers]
    assert kinds == [1, "unparseable", "unavailable", "unavailable", "error", 2]


async def test_what_is_not_known_when_the_time_is_over_is_a_timeout_and_ends() -> None:
    ended = asyncio.Event()

    async def hang() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0

    one, other = await gather_within([said(1), hang()], 0.02)
    assert one == 1
    assert isinstance(other, Failure)
    assert (other.kind, ended.is_set()) == (FailureKind.TIMEOUT, True)


async def test_a_caller_that_leaves_ends_all_questions() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang() -> int:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return 0

    asked = asyncio.create_task(gather_within([hang()], 30.0))
    await begun.wait()
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert ended.is_set()


async def test_nothing_asked_is_nothing_answered() -> None:
    assert await gather_within([], 1.0) == []


def test_the_commonest_failure_speaks_for_all() -> None:
    kinds = (FailureKind.TIMEOUT, FailureKind.UNPARSEABLE, FailureKind.UNPARSEABLE)
    assert commonest([Failure(kind, kind.value) for kind in kinds]).kind is FailureKind.UNPARSEABLE
