"""Runs coroutines for callers that are not async, wherever they stand.

One background event loop serves the whole process. A sync call hands its coroutine to that loop and waits, so it
works in scripts, threads, notebooks and inside a running loop alike (there it blocks that loop for as long as it
takes: `await` the async form instead), and pooled connections stay on the loop that opened them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None


def run_sync(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result.

    Raises:
        RuntimeError: called on the background loop itself, which would wait for ever.
    """
    loop = background_loop()
    try:
        if asyncio.get_running_loop() is loop:
            coroutine.close()
            raise RuntimeError(
                "a sync call from inside rayreward's own event loop would never end: await the async form"
            )
    except RuntimeError as error:
        if "never end" in str(error):
            raise
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


def background_loop() -> asyncio.AbstractEventLoop:
    """The process's background loop, started at its first use."""
    global _loop
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="rayreward-sync", daemon=True).start()
        return _loop
