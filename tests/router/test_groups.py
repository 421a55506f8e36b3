from __future__ import annotations

from rayreward.router.groups import GroupBarrier


def test_a_group_is_whole_by_its_last_member() -> None:
    barrier = GroupBarrier[str]()
    groups = [barrier.join("p", 3, member) for member in "abc"]
    assert groups[0] is groups[2]
    assert groups[2].is_whole
    assert groups[2].members == ["a", "b", "c"]
    assert len(barrier) == 0


def test_groups_of_other_keys_do_not_mix() -> None:
    barrier = GroupBarrier[str]()
    assert not barrier.join("p", 2, "a").is_whole
    assert not barrier.join("q", 2, "b").is_whole
    assert len(barrier) == 2


def test_when_its_time_is_over_those_that_came_are_told_once() -> None:
    barrier = GroupBarrier[str]()
    group = barrier.join("p", 3, "a")
    barrier.join("p", 3, "b")
    assert barrier.close(group) == ["a", "b"]
    assert barrier.close(group) == []
    assert barrier.join("p", 3, "late") is not group


def test_a_group_that_went_away_is_not_closed_in_anothers_name() -> None:
    barrier = GroupBarrier[str]()
    whole = barrier.join("p", 1, "a")
    barrier.join("p", 2, "b")
    assert barrier.close(whole) == []
    assert len(barrier) == 1


def test_a_member_that_leaves_is_left_out() -> None:
    barrier = GroupBarrier[str]()
    group = barrier.join("p", 2, "a")
    barrier.leave(group, "a")
    assert not barrier.is_open("p")
    assert not barrier.join("p", 2, "b").is_whole
    barrier.leave(group, "a")
    assert barrier.join("p", 2, "c").members == ["b", "c"]


def test_a_member_under_way_with_its_group_stays() -> None:
    barrier = GroupBarrier[str]()
    barrier.join("p", 2, "a")
    group = barrier.join("p", 2, "b")
    barrier.leave(group, "a")
    assert group.members == ["a", "b"]
