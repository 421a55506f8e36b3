from __future__ import annotations

from typing import Any

import pytest

from rayreward.router.backlog import ReplicaNumbers
from rayreward.router.scaling import Capacity, Demand, Scaler


class Reward:
    """A reward whose replicas are always as many as was decided."""

    def __init__(self, *, current: int = 1, least: int = 1, most: int = 8, **capacity: Any) -> None:
        self.scaler = Scaler(Capacity(**capacity), downscale_delay_s=60.0)
        self.current, self.least, self.most, self.now_s = current, least, most, 1000.0
        self.reason = ""

    def look(self, *, after_s: float = 0.1, **demand: Any) -> int:
        self.now_s += after_s
        decision = self.scaler.decide(
            Demand(**demand), current=self.current, least=self.least, most=self.most, now_s=self.now_s
        )
        self.current, self.reason = decision.replicas, decision.reason
        return decision.replicas


class TestUp:
    @pytest.mark.parametrize(
        ("demand", "replicas", "reason"),
        [
            ({"waiting_samples": 1024}, 4, "1,024 samples wait, a replica takes 256 at once"),
            ({"waiting_samples": 1}, 1, "1 sample"),
            ({"calls": 3.0}, 3, "3.0 calls are under way or wait, a replica takes 1 at once"),
            ({"calls": 2.0, "waiting_samples": 512}, 4, "512 samples wait and 2.0 calls are under way"),
            ({"waiting_samples": 10, "waiting_bytes": 3 * 8 * 2**20}, 3, "25,165,824 bytes wait"),
            ({"in_flight_samples": 768}, 3, "3.0 calls are under way"),
            ({"waiting_samples": 1e6}, 8, "that is 3907, and 8 is the most"),
            ({}, 1, "nothing waits, and 1 is the least"),
        ],
    )
    def test_at_once_to_what_the_work_needs_with_the_reason(self, demand: Any, replicas: int, reason: str) -> None:
        reward = Reward()
        reward.look()
        assert reward.look(after_s=61.0, **demand) == replicas
        assert reason.replace("1 sample", "1 samples waits") in reward.reason

    def test_tokens_count_where_a_batch_is_limited_in_them(self) -> None:
        assert Reward(batch_tokens=1000).look(waiting_samples=10, waiting_tokens=5000) == 5
        assert Reward().look(waiting_samples=10, waiting_tokens=5000) == 1

    def test_tokens_count_where_replicas_say_what_a_call_carries(self) -> None:
        assert Reward().look(waiting_samples=10, waiting_tokens=5000, call_tokens=1000.0) == 5
        assert Reward(batch_tokens=2500).look(waiting_samples=10, waiting_tokens=5000, call_tokens=1000.0) == 2
        said = [ReplicaNumbers(told_at_s=1.0, waiting_tokens=5000.0), ReplicaNumbers(call_tokens=1000.0)]
        demand = Demand.of(said, calls=0.0)
        assert (demand.waiting_tokens, demand.call_tokens) == (5000.0, 1000.0)

    def test_a_replica_that_takes_more_calls_is_asked_for_less_often(self) -> None:
        assert Reward(calls=2.0).look(waiting_samples=1024) == 2
        assert Reward(calls=2.0).look(calls=5.0) == 3

    def test_the_routers_own_short_calls_start_nothing(self) -> None:
        reward = Reward(current=0, least=0)
        assert reward.look(calls=0.05) == 0
        assert Reward().look(calls=1.05) == 1


class TestDown:
    def test_only_after_the_delay_and_to_what_was_needed_within_it(self) -> None:
        reward = Reward()
        assert reward.look(calls=6.0) == reward.look(calls=6.0) == 6
        assert reward.look(calls=3.0, after_s=30.0) == 6
        assert "needed within the last 60 s" in reward.reason
        assert reward.look(calls=3.0, after_s=29.9) == 6
        assert reward.look(after_s=0.3) == 3
        assert reward.look(after_s=59.0) == 3
        assert reward.look(after_s=2.0) == 1

    def test_a_burst_that_comes_again_within_the_delay_finds_its_replicas(self) -> None:
        reward = Reward()
        numbers = []
        for _ in range(5):
            numbers += [reward.look(calls=4.0) for _ in range(10)]
            numbers += [reward.look(after_s=5.0) for _ in range(9)]
        assert set(numbers) == {4}

    def test_a_queue_that_is_gone_before_a_replica_could_start_is_not_remembered(self) -> None:
        scaler = Scaler(Capacity(), downscale_delay_s=60.0)
        scaler.decide(Demand(), current=1, least=1, most=8, now_s=0.0)
        wished = scaler.decide(Demand(waiting_samples=2048), current=1, least=1, most=8, now_s=0.1)
        then = scaler.decide(Demand(), current=1, least=1, most=8, now_s=0.2)  # Serve waited for a second look
        assert (wished.replicas, then.replicas) == (8, 1)

    def test_replicas_that_somebody_else_started_are_kept_for_the_delay(self) -> None:
        reward = Reward(current=5)
        assert reward.look() == 5
        assert reward.look(after_s=61.0) == reward.look() == 1
        reward.current = 3
        assert reward.look(after_s=1.0) == 3
        assert reward.look(after_s=61.0) == 1

    def test_serve_that_comes_down_in_steps_is_not_taken_for_somebody_who_starts_replicas(self) -> None:
        scaler = Scaler(Capacity(), downscale_delay_s=60.0)
        found = [
            scaler.decide(Demand(), current=current, least=0, most=8, now_s=now_s).replicas
            for now_s, current in ((0.0, 4), (61.0, 4), (61.1, 1), (61.2, 0))
        ]
        assert found == [4, 0, 0, 0]


class TestZero:
    def test_nothing_for_the_delay_ends_the_last_one(self) -> None:
        reward = Reward(least=0)
        assert reward.look(calls=1.0) == 1
        assert reward.look(after_s=59.0, idle_s=59.0) == 1
        assert reward.look(after_s=2.0, idle_s=61.0) == 0
        assert reward.reason == "nothing was asked for within the last 60 s"
        assert reward.look(after_s=600.0) == 0

    def test_samples_that_take_milliseconds_keep_it_all_the_same(self) -> None:
        reward = Reward(least=0)
        assert {reward.look(after_s=30.0, calls=0.001, idle_s=20.0) for _ in range(10)} == {1}

    def test_work_wakes_it_at_once(self) -> None:
        reward = Reward(current=0, least=0)
        assert reward.look() == 0
        assert reward.look(calls=1.0) == 1


class TestPrescale:
    def test_a_wish_holds_until_its_end_and_not_longer(self) -> None:
        reward = Reward()
        assert reward.look(told_at_s=5.0, wished_replicas=4, wish_left_s=120.0) == 4
        assert reward.reason == "prescale wishes so"
        assert reward.look(after_s=119.0) == 4
        assert reward.look(after_s=1.0) == 1

    def test_a_wish_outlives_the_replica_that_heard_it(self) -> None:
        reward = Reward(least=0)
        reward.look(told_at_s=5.0, wished_replicas=2, wish_left_s=120.0)
        assert reward.look(after_s=100.0, told_at_s=0.0) == 2

    def test_work_may_need_more_than_was_wished_and_the_most_bounds_both(self) -> None:
        reward = Reward(most=6)
        assert reward.look(told_at_s=5.0, wished_replicas=2, wish_left_s=9.0, waiting_samples=1024) == 4
        assert reward.look(told_at_s=6.0, wished_replicas=50, wish_left_s=9.0) == 6
        assert reward.reason == "prescale wishes so; that is 50, and 6 is the most"

    def test_a_newer_word_takes_a_wish_back(self) -> None:
        reward = Reward()
        reward.look(told_at_s=5.0, wished_replicas=4, wish_left_s=120.0)
        assert reward.look(told_at_s=6.0) == 1


class TestManyReplicas:
    def test_the_newest_word_counts_and_the_work_is_added_up(self) -> None:
        older = ReplicaNumbers(told_at_s=1.0, waiting_samples=900, in_flight_samples=256, idle_s=0.0)
        newer = ReplicaNumbers(told_at_s=2.0, waiting_samples=100, in_flight_samples=44, idle_s=3.0)
        demand = Demand.of([older, newer], calls=2.0)
        assert (demand.waiting_samples, demand.in_flight_samples, demand.idle_s) == (100, 300, 0.0)
        assert (demand.calls, demand.told_at_s) == (2.0, 2.0)

    def test_an_old_word_is_not_believed_when_the_hearer_of_a_newer_one_is_gone(self) -> None:
        reward = Reward()
        assert reward.look(told_at_s=2.0) == 1
        assert reward.look(told_at_s=1.0, waiting_samples=2000) == 1

    def test_without_replicas_there_is_only_what_serve_sees(self) -> None:
        assert Demand.of([], calls=1.0) == Demand(calls=1.0)
