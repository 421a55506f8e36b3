"""Calls of an author's code from an event loop that has other work: a rollout actor's loop also drives vLLM.

What arrives: a function, sync or async, and its arguments. What leaves: its result, its exception, or a `TimeoutError`
when its time is over. A sync function runs in a thread of its own, so that it may block; Python cannot kill a thread,
so one that never returns is left behind, and only its place is taken back.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from typing import Any

_THREADS = 64
"""Sync calls under way at once. Environments mostly wait, for programs or for services, and threads are cheap; more of
them only take turns at the interpreter."""


class Caller:
    """Calls with a time limit.

    Args:
        timeout_s: for each call, from when it begins.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        # Not the loop's own thread pool: calls that never return would take it from everybody else.
        self._places = asyncio.Semaphore(_THREADS)

    async def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """What `function` returns; awaited where it has to be.

        Raises:
            TimeoutError: it took longer than its limit.
        """
        if inspect.iscoroutinefunction(function):
            return await self._bounded(function(*args, **kwargs))
        async with self._places:
            result = await self._bounded(_in_thread(function, args, kwargs))
        return await self._bounded(result) if inspect.isawaitable(result) else result

    async def _bounded(self, awaitable: Awaitable[Any]) -> Any:
        work = asyncio.ensure_future(_without_exit(awaitable))
        try:
            # Not asyncio.timeout: it would wait for code that takes no cancellation.
            done, _ = await asyncio.wait({work}, timeout=self._timeout_s)
        finally:
            if not work.done():
                work.cancel()
                work.add_done_callback(_read)
        if not done:
            raise TimeoutError(f"no answer within {self._timeout_s:g} s")
        return work.result()


async def _without_exit(awaitable: Awaitable[Any]) -> Any:
    """``sys.exit()`` inside a task would end the loop."""
    try:
        return await awaitable
    except SystemExit as error:
        raise RuntimeError(f"sys.exit({error.code!r}) was called") from error


def _read(work: asyncio.Future[Any]) -> None:
    """An abandoned call's late exception is nobody's; asyncio would complain that it was never looked at."""
    if not work.cancelled():
        work.exception()


def _in_thread(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> asyncio.Future[Any]:
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    future: asyncio.Future[Any] = loop.create_future()

    def deliver(value: Any, error: BaseException | None) -> None:
        if future.done():
            return  # nobody waits any more
        if error is None:
            future.set_result(value)
        else:
            future.set_exception(error)

    def work() -> None:
        value: Any = None
        raised: BaseException | None = None
        try:
            value = context.run(function, *args, **kwargs)
        except (SystemExit, StopIteration) as error:  # neither can travel in a future
            raised = RuntimeError(f"{type(error).__name__} was raised: {error}")
        except BaseException as error:  # noqa: BLE001 - the boundary: whoever awaits the call gets it
            raised = error
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(deliver, value, raised)

    threading.Thread(target=work, name="rayreward-environment", daemon=True).start()
    return future
