from __future__ import annotations

import asyncio
import contextvars
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rayreward.client.sync import background_loop, run_here, run_sync


async def where() -> tuple[asyncio.AbstractEventLoop, threading.Thread]:
    return asyncio.get_running_loop(), threading.current_thread()


async def fail() -> None:
    raise LookupError("asked")


class TestRunSync:
    def test_all_callers_share_one_loop(self) -> None:
        assert run_sync(where())[0] is run_sync(where())[0] is background_loop()

    async def test_works_inside_a_running_loop(self) -> None:
        assert run_sync(where())[0] is background_loop()

    def test_hands_errors_over(self) -> None:
        with pytest.raises(LookupError, match="asked"):
            run_sync(fail())

    def test_on_its_own_loop_it_refuses_instead_of_waiting_for_ever(self) -> None:
        async def nested() -> Any:
            return run_sync(where())

        with pytest.raises(RuntimeError, match="would never end: await the async form"):
            run_sync(nested())

    def test_a_forked_process_gets_a_loop_of_its_own(self) -> None:
        run_sync(where())
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if run_sync(where())[0] is background_loop() else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class TestRunHere:
    def test_runs_on_the_calling_thread(self) -> None:
        assert run_here(where())[1] is threading.current_thread()

    async def test_runs_on_another_thread_inside_a_running_loop_and_keeps_its_context(self) -> None:
        variable = contextvars.ContextVar("variable", default=0)

        async def read() -> tuple[int, threading.Thread]:
            return variable.get(), threading.current_thread()

        variable.set(7)
        value, thread = run_here(read())
        assert value == 7
        assert thread is not threading.current_thread()

    def test_leaves_the_threads_own_event_loop_alone(self) -> None:
        def old_style_code() -> bool:
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
            run_here(where())
            is_kept = asyncio.get_event_loop() is loop
            loop.close()
            return is_kept

        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(old_style_code).result()

    def test_hands_errors_over_and_ends_what_was_left_running(self) -> None:
        ended = []

        async def leave_a_task() -> None:
            async def wait() -> None:
                try:
                    await asyncio.Event().wait()
                finally:
                    ended.append(True)

            task = asyncio.ensure_future(wait())
            await asyncio.sleep(0)
            raise LookupError(str(task.done()))

        with pytest.raises(LookupError, match="False"):
            run_here(leave_a_task())
        assert ended == [True]
