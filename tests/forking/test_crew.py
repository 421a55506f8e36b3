from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rayreward.errors import RewardLoadError
from rayreward.forking.calls import Prepare
from rayreward.forking.crew import Crew, Worker
from tests.processes import is_alive, is_gone


@pytest.fixture
def crew() -> Iterator[Crew]:
    one = Crew(Prepare("math:sqrt", (), tuple(sys.path), None), most=2, kept=1)
    yield one
    one.close()


def taken(crew: Crew) -> Worker:
    worker = crew.take(may_wait=True)
    assert worker is not None
    return worker


def niceness(worker: Worker) -> int:
    return os.getpriority(os.PRIO_PROCESS, worker.forked.pid)


def test_there_are_never_more_than_allowed(crew: Crew) -> None:
    first, second = taken(crew), taken(crew)
    assert crew.take(may_wait=False) is None
    crew.give(first)
    assert crew.take(may_wait=False) is first
    crew.give(second)
    crew.give(first)


async def test_only_so_many_stay_when_there_is_nothing_to_do(crew: Crew) -> None:
    first, second = taken(crew), taken(crew)
    crew.give(first)
    crew.give(second)
    assert is_alive(first.forked.pid)
    assert await is_gone(second.forked.pid)


def test_who_waits_gets_the_next_that_is_given_back_or_the_room_of_one_that_has_gone(crew: Crew) -> None:
    first, second = taken(crew), taken(crew)
    with ThreadPoolExecutor() as threads:
        third = threads.submit(taken, crew)
        while not crew.is_wanted:
            pass
        crew.give(first)
        assert third.result() is first
        fourth = threads.submit(taken, crew)
        while not crew.is_wanted:
            pass
        crew.discard(second)
        crew.give(fourth.result())
    crew.give(first)


async def test_a_slow_call_leaves_the_processor_to_others_and_its_worker_makes_no_other(crew: Crew) -> None:
    worker = taken(crew)
    before = niceness(worker)
    worker.become_slow()
    assert niceness(worker) == before + 10
    crew.give(worker)
    assert await is_gone(worker.forked.pid)
    another = taken(crew)
    assert niceness(another) == before
    crew.give(another)


def test_closed_it_sends_those_away_who_wait(crew: Crew) -> None:
    lent = [taken(crew), taken(crew)]
    with ThreadPoolExecutor() as threads:
        third = threads.submit(taken, crew)
        while not crew.is_wanted:
            pass
        crew.close()
        with pytest.raises(RewardLoadError, match="closed"):
            third.result()
    for worker in lent:
        crew.give(worker)
