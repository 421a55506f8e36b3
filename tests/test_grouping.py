from __future__ import annotations

from rayreward.grouping import missing_members, positions_of_groups
from rayreward.sample import Sample
from rayreward.types import FailureKind


def test_a_group_is_named_or_is_what_shares_a_prompt() -> None:
    samples = [
        Sample(prompt="p", response="a", group_id="g"),
        Sample(prompt="p", response="b"),
        Sample(prompt="q", response="c", group_id="g"),
        Sample(prompt="p", response="d"),
    ]
    assert positions_of_groups(samples) == [[0, 2], [1, 3]]


def test_a_prompt_that_is_called_like_a_group_is_another() -> None:
    assert positions_of_groups([Sample(prompt="g", response=""), Sample(response="", group_id="g")]) == [[0], [1]]


def test_a_whole_group_misses_nobody_and_neither_does_one_of_unknown_size() -> None:
    assert missing_members([Sample(response="", group_id="g", group_size=2)] * 2) == []
    assert missing_members([Sample(response="", group_id="g")]) == []


def test_each_member_of_a_part_says_what_is_missing_and_what_to_do() -> None:
    failures = missing_members([Sample(response="", group_id="g", group_size=3)] * 2)
    assert [output.failure.kind for output in failures if output.failure] == [FailureKind.INVALID_INPUT] * 2
    assert "group 'g' has 3, and 2 came together; send them in one request" in str(failures[0].failure)
