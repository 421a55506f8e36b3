from __future__ import annotations

import pytest

from rayreward.router.sizing import AHEAD_SAMPLES, MOST_SAMPLES, USUAL_SAMPLES, BatchSizer, Spread

ONE = Spread(replica_count=1, slots_per_replica=2)
FOUR = Spread(replica_count=4, slots_per_replica=2)


def sizer_of(spread: Spread, *, sample_s: float | None = None, **options: int) -> BatchSizer:
    sizer = BatchSizer(spread, **options)
    if sample_s is not None:
        sizer.note(samples=100, computed_s=100 * sample_s)
    return sizer


def test_before_the_first_answer_a_call_has_the_usual_size() -> None:
    assert sizer_of(ONE).size(waiting=10_000, free_slots=2) <= USUAL_SAMPLES
    assert sizer_of(ONE).size(waiting=3, free_slots=2) == 3


def test_nothing_waiting_is_nothing_to_send() -> None:
    assert sizer_of(ONE).size(waiting=0, free_slots=2) == 0


@pytest.mark.parametrize("sample_s", [0.0, 1e-9, 3e-6])
def test_a_trivial_rewards_samples_travel_together_even_past_idle_replicas(sample_s: float) -> None:
    assert sizer_of(FOUR, sample_s=sample_s).size(waiting=1024, free_slots=8) == 1024
    assert sizer_of(FOUR, sample_s=sample_s).size(waiting=10**6, free_slots=8) <= MOST_SAMPLES


def test_work_is_spread_over_the_replicas_that_are_free() -> None:
    sizer = sizer_of(FOUR, sample_s=0.01)
    assert sizer.size(waiting=200, free_slots=8) == 50
    assert sizer.size(waiting=200, free_slots=4) == 100
    assert sizer.size(waiting=200, free_slots=1) == 200


def test_a_second_slot_of_the_same_replica_is_no_reason_to_split() -> None:
    assert sizer_of(ONE, sample_s=0.01).size(waiting=200, free_slots=2) == 200


def test_a_share_that_is_too_little_work_is_not_sent_alone() -> None:
    sizer = sizer_of(FOUR, sample_s=0.001)  # twenty samples are work enough
    assert sizer.size(waiting=40, free_slots=8) == 20
    assert sizer.size(waiting=8, free_slots=8) == 8


def test_a_long_queue_of_dear_samples_leaves_in_calls_of_the_usual_size() -> None:
    assert sizer_of(ONE, sample_s=1.0).size(waiting=10 * USUAL_SAMPLES, free_slots=2) == USUAL_SAMPLES


def test_calls_of_one_burst_are_alike() -> None:
    assert sizer_of(ONE, sample_s=1.0).size(waiting=300, free_slots=2) == 150


def test_a_call_that_would_only_wait_in_its_replica_grows_here_instead() -> None:
    sizer = sizer_of(ONE, sample_s=0.001)
    sizer.takes_turns = True
    assert sizer.size(waiting=32, free_slots=2) == 32
    assert sizer.size(waiting=32, free_slots=1, busy_slots=1) == 0
    assert sizer.size(waiting=USUAL_SAMPLES, free_slots=1, busy_slots=1) == USUAL_SAMPLES


def test_a_call_that_takes_a_while_on_its_way_leaves_while_its_replica_is_busy() -> None:
    sizer = sizer_of(ONE, sample_s=1e-6)
    sizer.takes_turns = True
    assert sizer.size(waiting=AHEAD_SAMPLES - 1, free_slots=1, busy_slots=1) == 0
    assert sizer.size(waiting=AHEAD_SAMPLES, free_slots=1, busy_slots=1) == AHEAD_SAMPLES


def test_of_replicas_that_take_turns_those_without_a_call_share_what_waits() -> None:
    sizer = sizer_of(FOUR, sample_s=0.01)
    sizer.takes_turns = True
    assert sizer.size(waiting=200, free_slots=8) == 50
    assert sizer.size(waiting=50, free_slots=5, busy_slots=3) == 50
    assert sizer.size(waiting=50, free_slots=4, busy_slots=4) == 0


def test_what_the_owner_allows_is_never_exceeded() -> None:
    assert sizer_of(FOUR, sample_s=0.0, most_samples=64).size(waiting=1024, free_slots=8) == 64


def test_it_follows_a_reward_that_becomes_dear_and_a_lone_sample_says_little() -> None:
    sizer = sizer_of(ONE, sample_s=1e-6)
    sizer.note(samples=1, computed_s=0.0003)  # mostly the call's own time
    assert sizer.size(waiting=1024, free_slots=2) == 1024
    for _ in range(5):
        sizer.note(samples=256, computed_s=2.56)
    assert sizer.size(waiting=1024, free_slots=2) == USUAL_SAMPLES
