from __future__ import annotations

from rayreward.workers.crash_loop import CrashLoop


def ended(times: int) -> CrashLoop:
    loop = CrashLoop("mine")
    for _ in range(times):
        loop.ended("exit code 1")
    return loop


def test_a_few_ends_are_accidents() -> None:
    assert (ended(4).report, ended(4).pause_s) == (None, 0.0)


def test_more_are_a_loop_that_is_given_time() -> None:
    pauses_s = [ended(times).pause_s for times in range(5, 12)]
    assert pauses_s == sorted(pauses_s)
    assert pauses_s[0] > 0
    assert ended(10_000).pause_s == 0.2


def test_an_answer_ends_it() -> None:
    loop = ended(6)
    loop.answered()
    assert (loop.report, loop.pause_s) == (None, 0.0)
    loop.ended("exit code 1")
    assert loop.report is None
