from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from rayreward.errors import ConfigError, RewardLoadError
from rayreward.forking import Answered, Fault, ForkPool
from tests.forking.calls import OnlyThere
from tests.processes import children, is_alive, is_gone

LONG_S = 60.0
SHORT_S = 1.0
"""A deadline that a hang must reach, and nothing else even on a busy machine."""

MEMORY_BYTES = 2**28

Build = Callable[..., ForkPool]


@pytest.fixture
def pool() -> Iterator[Build]:
    """Makes pools; at the end none of their processes is left."""
    made: list[ForkPool] = []
    before = children()

    def build(function: str = "tests.forking.calls:call", **settings: Any) -> ForkPool:
        made.append(ForkPool(function, **{"memory_bytes": MEMORY_BYTES, **settings}))
        return made[-1]

    yield build
    for one in made:
        one.close()
    assert children() <= before


def said(results: list[Answered | Fault]) -> list[Any]:
    return [result.value if isinstance(result, Answered) else result.kind.value for result in results]


def fault(result: Answered | Fault) -> str:
    assert isinstance(result, Fault)
    return result.message


def pids_in(file: Path) -> list[int]:
    """A worker, and what it has started."""
    return [int(pid) for pid in file.read_text().split()]


def test_values_come_in_order(pool: Build) -> None:
    assert said(pool().run([1, "two", [3]], deadline_s=LONG_S)) == [1, "two", [3]]


def test_of_nothing_is_nothing(pool: Build) -> None:
    assert pool().run([], deadline_s=LONG_S) == []


@pytest.mark.parametrize(
    ("argument", "kind", "reason"),
    [
        ("exit", "crashed", "exit code 3"),
        ("segfault", "crashed", "SIGSEGV"),
        ("sigkill", "crashed", r"SIGKILL \(out of memory\?\)"),
        ("raise", "error", "ValueError: as asked"),
        ("sys.exit", "error", "SystemExit: usage"),
        ("lambda", "error", "lambda"),
        ("explode", "out_of_memory", "more memory than it may have"),
    ],
)
def test_a_call_that_breaks_costs_itself(pool: Build, argument: str, kind: str, reason: str) -> None:
    results = pool().run(["a", argument, "c"], deadline_s=LONG_S)
    assert said(results) == ["a", kind, "c"]
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(fault(results[1]))


@pytest.mark.parametrize("argument", ["hang", "spin"])
def test_a_hang_ends_at_its_deadline_and_costs_itself(pool: Build, argument: str) -> None:
    one = pool()
    results = one.run(["a", argument, "c"], deadline_s=SHORT_S)
    assert said(results) == ["a", "timeout", "c"]
    assert "no answer within 1 s; its process was killed" in fault(results[1])


async def test_hangs_do_not_hold_up_what_is_behind_them(pool: Build, tmp_path: Path) -> None:
    one, behind = pool(most_workers=3), tmp_path / "behind"
    run = asyncio.create_task(asyncio.to_thread(one.run, ["hang", "spin", behind], deadline_s=600.0))
    while not behind.exists():  # noqa: ASYNC110 - a file announces nothing
        await asyncio.sleep(0.01)
    one.close()
    assert said(await run) == ["crashed", "crashed", behind]


def test_more_hangs_than_workers_end_too(pool: Build) -> None:
    results = pool(most_workers=2).run(["hang", "a", "spin", "hang", "b"], deadline_s=SHORT_S)
    assert said(results) == ["timeout", "a", "timeout", "timeout", "b"]


def test_memory_that_stays_full_goes_with_its_process(pool: Build) -> None:
    results = pool().run(["pid", "leak", "leak", "pid", "a"], deadline_s=LONG_S)
    assert said(results)[1:3] == ["out_of_memory"] * 2
    assert said(results)[0] != said(results)[3]
    assert said(results)[4] == "a"


def test_arguments_and_values_may_be_large(pool: Build) -> None:
    text = "x" * 5_000_000
    assert said(pool().run([text, "a", text], deadline_s=LONG_S)) == [text, "a", text]


def test_what_cannot_travel_costs_itself(pool: Build) -> None:
    results = pool().run(["a", lambda: 0, OnlyThere(), "d"], deadline_s=LONG_S)
    assert said(results) == ["a", "error", "error", "d"]
    assert said(pool("tests.forking.calls:give_foreign").run([1], deadline_s=LONG_S)) == ["error"]


def test_several_threads_may_run_at_once(pool: Build) -> None:
    one = pool(most_workers=2)
    with ThreadPoolExecutor(8) as threads:
        batches = [[f"{thread}-{at}" for at in range(20)] for thread in range(8)]
        found = list(threads.map(lambda batch: said(one.run(batch, deadline_s=LONG_S)), batches))
    assert found == batches


def test_modules_are_there_before_the_first_call(pool: Build) -> None:
    [modules] = said(pool(preload=["colorsys"]).run(["modules"], deadline_s=LONG_S))
    assert "colorsys" in modules
    assert "asyncio" not in modules  # a fork costs what the process that forks has loaded


def test_each_result_is_told_as_soon_as_it_is_known(pool: Build) -> None:
    told: list[tuple[int, Any]] = []
    results = pool(most_workers=4).run(
        ["hang", "a", "exit"], deadline_s=SHORT_S, on_result=lambda at, result: told.append((at, said([result])[0]))
    )
    assert sorted(told) == list(enumerate(said(results)))
    assert told[-1] == (0, "timeout")


def test_prints_do_not_reach_standard_output(pool: Build, capfd: pytest.CaptureFixture[str]) -> None:
    pool().run(["print"], deadline_s=LONG_S)
    out, err = capfd.readouterr()
    assert (out, "noise on standard output" in err) == ("", True)


@pytest.mark.parametrize("function", ["tests.forking.calls:nothing_of_that_name", "no_such_module:name"])
def test_a_function_that_cannot_be_imported_leaves_no_process(pool: Build, function: str) -> None:
    before = children()
    with pytest.raises(RewardLoadError, match="cannot be called"):
        pool(function).start()
    assert children() <= before


def test_numbers_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ConfigError, match="idle_workers <= most_workers"):
        ForkPool("math:sqrt", memory_bytes=None, most_workers=1, idle_workers=2)


def test_a_closed_pool_starts_nothing(pool: Build) -> None:
    one = pool()
    one.start()
    one.close()
    with pytest.raises(RewardLoadError, match="closed"):
        one.run(["a"], deadline_s=LONG_S)


async def test_what_a_call_started_goes_with_its_process(pool: Build, tmp_path: Path) -> None:
    told = tmp_path / "told"
    assert said(pool().run([("spawn and hang", told)], deadline_s=SHORT_S)) == ["timeout"]
    for pid in pids_in(told):
        assert await is_gone(pid)


def test_a_worker_that_died_idle_costs_no_call(pool: Build) -> None:
    one = pool()
    [pid] = said(one.run(["pid"], deadline_s=LONG_S))
    os.kill(pid, signal.SIGKILL)
    while is_alive(pid):
        pass
    assert said(one.run(["a", "b"], deadline_s=LONG_S)) == ["a", "b"]


def test_a_clean_process_that_died_is_replaced(pool: Build) -> None:
    one, before = pool(), children()
    one.start()
    [zygote] = children() - before
    os.kill(zygote, signal.SIGKILL)
    while is_alive(zygote):
        pass
    assert said(one.run(["a", "exit", "c", "exit", "e"], deadline_s=LONG_S))[2:] == ["c", "crashed", "e"]


def test_a_forked_process_has_workers_of_its_own(pool: Build) -> None:
    one = pool()
    [ours] = said(one.run(["pid"], deadline_s=LONG_S))
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        found = said(one.run(["a", "pid"], deadline_s=LONG_S))
        one.close()
        os.write(writes, repr(found[0] == "a" and found[1] != ours).encode())
        os._exit(0)
    os.close(writes)
    os.waitpid(child, 0)
    assert os.read(reads, 100) == b"True"
    os.close(reads)
    assert said(one.run(["a"], deadline_s=LONG_S)) == ["a"]


CALLER = """
import sys
from pathlib import Path
from rayreward.forking import ForkPool

ForkPool("tests.forking.calls:call", memory_bytes=None).run([(sys.argv[1], Path(sys.argv[2]))], deadline_s=600.0)
"""


@pytest.mark.parametrize("doing", ["spawn and spin", "spawn and hang"])
async def test_a_caller_that_is_killed_takes_all_along(doing: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    caller = await asyncio.create_subprocess_exec(sys.executable, "-c", CALLER, doing, str(told))
    while not told.exists():  # noqa: ASYNC110 - a file announces nothing
        await asyncio.sleep(0.01)
    assert all(map(is_alive, pids_in(told)))
    caller.kill()
    await caller.wait()
    for pid in pids_in(told):
        assert await is_gone(pid)
