from __future__ import annotations

from rayreward.jobs.watch import Watch
from rayreward.router.runs import RunStats


def test_a_reward_that_answers_is_left_alone() -> None:
    watch = Watch(60.0)

    assert [watch.observe(RunStats("r"), now_s=float(now)) for now in range(0, 600, 60)] == [None] * 10


def test_a_reward_without_replicas_is_waited_for_until_the_bound() -> None:
    watch = Watch(60.0)

    assert watch.observe(RunStats("r", unavailable_s=59.0), now_s=0.0) is None
    reason = watch.observe(RunStats("r", unavailable_s=61.0), now_s=2.0)
    assert reason == "the reward has not answered for 61 s (no replica), and 60 s are allowed"


def test_a_service_that_comes_back_in_time_is_forgiven() -> None:
    watch = Watch(60.0)

    assert watch.observe(None, "refused", now_s=0.0) is None
    assert watch.observe(RunStats("r"), now_s=50.0) is None
    assert watch.observe(None, "refused", now_s=100.0) is None
    assert watch.observe(None, "refused", now_s=150.0) is None
    assert "has not answered for 61 s (refused)" in (watch.observe(None, "refused", now_s=161.0) or "")


def test_without_a_bound_nothing_is_ever_stopped() -> None:
    watch = Watch(None)

    assert watch.observe(None, "refused", now_s=0.0) is None
    assert watch.observe(None, "refused", now_s=1e9) is None
