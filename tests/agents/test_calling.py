from __future__ import annotations

import asyncio
import threading
import time
from contextvars import ContextVar

import pytest

from rayreward.agents.calling import Caller

SEEN: ContextVar[str] = ContextVar("seen", default="nothing")


async def test_sync_and_async_functions_and_what_returns_something_to_await() -> None:
    async def later() -> str:
        return "later"

    caller = Caller(5.0)
    assert await caller.call(lambda: "now") == "now"
    assert await caller.call(later) == "later"
    assert await caller.call(lambda: later()) == "later"


async def test_a_blocking_function_does_not_block_the_loop_and_sees_the_context() -> None:
    SEEN.set("the caller's")
    release = threading.Event()

    def block() -> str:
        release.wait(5.0)
        return SEEN.get()

    call = asyncio.create_task(Caller(5.0).call(block))
    await asyncio.sleep(0)
    release.set()
    assert await call == "the caller's"


async def test_calls_that_hang_give_their_places_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rayreward.agents.calling._THREADS", 2)
    caller, release = Caller(0.02), threading.Event()
    hung = await asyncio.gather(*(caller.call(release.wait) for _ in range(4)), return_exceptions=True)
    assert [type(one) for one in hung] == [TimeoutError] * 4
    assert await caller.call(lambda: 1) == 1
    release.set()


async def test_time_begins_when_the_call_does_and_not_while_it_waits_for_a_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rayreward.agents.calling._THREADS", 1)
    caller = Caller(1.0)
    results = await asyncio.gather(*(caller.call(time.sleep, 0.01) for _ in range(4)))
    assert results == [None] * 4


async def test_an_async_function_that_exits_does_not_end_the_loop() -> None:
    async def leave() -> None:
        raise SystemExit(2)

    with pytest.raises(RuntimeError, match=r"sys\.exit\(2\) was called"):
        await Caller(5.0).call(leave)


async def test_a_caller_that_leaves_takes_its_call_along() -> None:
    ended = asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    call = asyncio.create_task(Caller(60.0).call(forever))
    await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.wait({call})
    await asyncio.wait_for(ended.wait(), 1.0)
