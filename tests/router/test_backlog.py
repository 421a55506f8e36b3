from __future__ import annotations

import pickle

import pytest

from rayreward.router.backlog import NEVER_S, Backlog, BacklogMemory, ReplicaNumbers
from rayreward.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(1000.0)


@pytest.fixture
def memory(clock: ManualClock) -> BacklogMemory:
    return BacklogMemory(now=clock)


def test_a_replica_that_was_told_nothing_has_nothing_to_say(memory: BacklogMemory) -> None:
    assert memory.numbers() == ReplicaNumbers(idle_s=NEVER_S)


def test_what_was_told_is_remembered_while_calls_are_under_way_and_a_little_longer(
    memory: BacklogMemory, clock: ManualClock
) -> None:
    memory.enter(256, Backlog(1.0, waiting_samples=500, waiting_bytes=9, waiting_tokens=7))
    clock.advance(60.0)
    during = memory.numbers()
    assert (during.waiting_samples, during.waiting_bytes, during.waiting_tokens) == (500, 9, 7)
    assert (during.in_flight_samples, during.idle_s) == (256, 0.0)
    memory.leave(256)
    clock.advance(2.0)
    assert memory.numbers().waiting_samples == 500
    clock.advance(1.0)
    after = memory.numbers()
    assert (after.waiting_samples, after.in_flight_samples, after.idle_s) == (0, 0, 3.0)
    assert after.told_at_s == 1.0, "so that a replica which remembers an older word is not believed instead"


def test_the_newest_word_counts_whenever_it_arrives(memory: BacklogMemory) -> None:
    memory.hear(Backlog(2.0, waiting_samples=2))
    memory.hear(Backlog(1.0, waiting_samples=1))
    assert memory.numbers().waiting_samples == 2


def test_a_wish_is_remembered_until_its_end_and_no_longer(memory: BacklogMemory, clock: ManualClock) -> None:
    memory.hear(Backlog(1.0, wished_replicas=3, wish_left_s=60.0))
    clock.advance(59.0)
    assert (memory.numbers().wished_replicas, memory.numbers().wish_left_s) == (3, 1.0)
    clock.advance(1.0)
    assert (memory.numbers().wished_replicas, memory.numbers().wish_left_s) == (0, 0.0)


def test_a_wish_that_is_taken_back_is_over(memory: BacklogMemory) -> None:
    memory.hear(Backlog(1.0, wished_replicas=3, wish_left_s=60.0))
    memory.hear(Backlog(2.0))
    assert memory.numbers().wished_replicas == 0


def test_numbers_are_published_as_floats_and_read_again_beside_others() -> None:
    numbers = ReplicaNumbers(1.5, 2, 3, 4, 5, 6.0, 7, 8.0)
    published = numbers.published()
    assert all(type(value) is float for value in published.values())
    assert ReplicaNumbers.read({**published, "running_requests": 1.0}) == numbers
    assert ReplicaNumbers.read({}) == ReplicaNumbers()


def test_a_word_is_small_on_its_way() -> None:
    told = Backlog(1.0, 2, 3, 4, 5, 6.0)
    assert pickle.loads(pickle.dumps(told)) == told
    assert len(pickle.dumps(told)) < 120
