"""Runs coroutines for callers that are not async, wherever they stand.

Two ways. What belongs to an event loop (connections, processes) goes to one background loop, which serves the whole
process: a sync call hands its coroutine over and waits, so it works in scripts, threads, notebooks and inside a
running loop alike (there it blocks that loop for as long as it takes: `await` the async form instead). Code that is
sync itself runs where its caller stands, with that thread's locals and signals, and never holds up anybody else.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, from the background loop. An interrupted caller takes its coroutine along.

    Raises:
        RuntimeError: called on the background loop itself, which would wait for ever.
    """
    loop = background_loop()
    if _running_loop() is loop:
        coroutine.close()
        raise RuntimeError("a sync call from inside rayreward's own event loop would never end: await the async form")
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    try:
        return future.result()
    finally:
        future.cancel()


def run_here(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, from the calling thread; from a thread of its own where a loop runs on this one."""
    if _running_loop() is None:
        return _run_to_end(coroutine)
    with ThreadPoolExecutor(1, thread_name_prefix="rayreward-score") as pool:
        return pool.submit(contextvars.copy_context().run, _run_to_end, coroutine).result()


def _run_to_end(coroutine: Coroutine[Any, Any, T]) -> T:
    # Not asyncio.run: it would take the thread's event loop away, and Ctrl-C from the code that runs here.
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.run_until_complete(_cancel_all(asyncio.all_tasks(loop)))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


async def _cancel_all(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def background_loop() -> asyncio.AbstractEventLoop:
    """The process's background loop, started at its first use."""
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="rayreward-sync", daemon=True).start()
        return _loop


_inherited: list[Any] = []


def keep_inherited(value: Any) -> None:
    """Let `value` live as long as this forked process does.

    Sockets that close here would be taken off their parent's loop: parent and child share one epoll.
    """
    _inherited.append(value)


def _forget() -> None:
    """A forked process inherits the loop but not the thread that ran it, and perhaps a lock that nobody releases."""
    global _lock, _loop
    keep_inherited(_loop)
    _lock, _loop = threading.Lock(), None


os.register_at_fork(after_in_child=_forget)
