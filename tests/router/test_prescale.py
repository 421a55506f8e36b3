from __future__ import annotations

import pickle

import pytest

from rayreward.errors import InvalidInputError
from rayreward.router.prescale import ReplicaRange, Wish, Wishes
from rayreward.spec import RewardSpec
from rayreward.testing import ManualClock


def wishes(least: int = 1, most: int = 4, *, clock: ManualClock | None = None) -> Wishes:
    return Wishes(ReplicaRange(least, most, fixed_by=None), now=clock or ManualClock(), wall=lambda: 1e9)


@pytest.mark.parametrize(("asked", "granted"), [(0, 1), (2, 2), (4, 4), (100, 4)])
def test_what_is_granted_lies_within_what_the_reward_may_have(asked: int, granted: int) -> None:
    answer = wishes().ask("math", asked, for_s=60.0)
    assert (answer.asked, answer.granted, answer.min_replicas, answer.max_replicas) == (asked, granted, 1, 4)
    assert answer.until == "2001-09-09T01:47:40+00:00"
    assert pickle.loads(pickle.dumps(answer)) == answer


def test_a_wish_ends_and_a_newer_one_takes_its_place() -> None:
    clock = ManualClock()
    wished = wishes(clock=clock)
    assert wished.current == Wish()
    wished.ask("math", 3, for_s=60.0)
    clock.advance(59.0)
    assert wished.current == Wish(3, 1.0)
    wished.ask("math", 2, for_s=10.0)
    assert wished.current == Wish(2, 10.0)
    clock.advance(10.0)
    assert wished.current == Wish()


def test_a_wish_of_none_takes_one_back_which_is_news_too() -> None:
    wished = wishes(least=0)
    wished.ask("math", 3, for_s=60.0)
    wished.is_news = False
    assert wished.ask("math", 0, for_s=60.0).granted == 0
    assert wished.current == Wish()
    assert wished.is_news


@pytest.mark.parametrize(("replicas", "for_s"), [(-1, 60.0), (2, 0.0), (2, -1.0), (2, float("nan")), (2, 1e9)])
def test_what_is_no_wish_is_refused(replicas: int, for_s: float) -> None:
    with pytest.raises(InvalidInputError, match=r"wants replicas from 0 on, for up to 86400 s, found"):
        wishes().ask("math", replicas, for_s=for_s)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_replicas": 3}, "'math': it has num_replicas: 3; give it an autoscaling_config"),
        ({"in_router": True}, "runs in the router, without replicas"),
        ({"autoscaling_config": {"policy": {"policy_function": "a:b"}}}, "is scaled by a policy of its own"),
    ],
)
def test_who_cannot_be_wished_for_says_why(options: dict[str, object], reason: str) -> None:
    spec = RewardSpec.model_validate({"name": "math", "builtin": "length", **options})
    with pytest.raises(InvalidInputError, match=reason):
        Wishes(ReplicaRange.of(spec), now=ManualClock()).ask("math", 2, for_s=60.0)


def test_the_range_is_what_the_configuration_says() -> None:
    scaling = {"min_replicas": 0, "max_replicas": 8}
    spec = RewardSpec.model_validate({"name": "math", "builtin": "length", "autoscaling_config": scaling})
    assert ReplicaRange.of(spec) == ReplicaRange(0, 8, fixed_by=None)
    assert ReplicaRange.of(RewardSpec(name="math", builtin="length")) == ReplicaRange(1, 4, fixed_by=None)
