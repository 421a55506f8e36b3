from __future__ import annotations

import pytest

from rayreward.models.golden import Vocabulary, build_probe

VOCABULARY = Vocabulary(50, bos=1, eos=2, special=frozenset({0, 1, 2}))


def test_the_probe_is_the_same_every_time_and_covers_what_goes_wrong() -> None:
    probe = build_probe(VOCABULARY, max_length=200, budget_tokens=10_000)
    assert probe == build_probe(VOCABULARY, max_length=200, budget_tokens=10_000)
    units = [one.unit for one in probe]
    lengths = [len(unit.ids) for unit in units[:24]]
    assert (len(units), lengths[0], lengths[-1]) == (32, 16, 200)
    assert lengths == sorted(lengths)
    assert {unit.ids[0] for unit in units} == {1}
    assert all(1 not in unit.ids[1:] for unit in units)
    assert {unit.ids[-1] == 2 for unit in units} == {True, False}
    inside = [one.unit for one in probe if one.purpose == "EOS inside"]
    assert len(inside) == 8
    assert all(2 in unit.ids[1:-2] and unit.ids[-2:] == (2, 2) for unit in inside)
    siblings = [one.unit for one in probe if one.purpose == "sibling"]
    assert len(siblings) == 8
    assert len({unit.ids[: unit.prefix_tokens] for unit in siblings}) == 1
    assert len({unit.ids for unit in siblings}) == 8


@pytest.mark.parametrize(
    ("max_length", "budget", "count"), [(8192, 4000, 32), (8192, 2000, 8), (40, 300, 8), (6, 10_000, 32), (20, 1, 8)]
)
def test_lengths_give_way_to_the_budget_and_to_the_model(max_length: int, budget: int, count: int) -> None:
    units = [one.unit for one in build_probe(VOCABULARY, max_length=max_length, budget_tokens=budget, count=count)]
    assert len(units) == count
    assert max(len(unit.ids) for unit in units) <= max_length
    assert sum(len(unit.ids) for unit in units) <= max(budget, 25 * count)
    assert all(0 < unit.prefix_tokens < len(unit.ids) for unit in units)


@pytest.mark.parametrize("max_length", range(1, 8))
def test_a_model_of_few_positions_has_a_probe_too(max_length: int) -> None:
    marks = ("first", "gate", "step", "one", "two")
    units = [one.unit for one in build_probe(VOCABULARY, max_length=max_length, budget_tokens=2000, marks=marks)]
    assert len(units) == 32
    assert all(1 <= len(unit.ids) <= max_length for unit in units)
    assert all(0 <= at < len(unit.ids) for unit in units for places in unit.marks.values() for at in places)


def test_a_model_without_special_tokens_has_a_probe_too() -> None:
    units = [one.unit for one in build_probe(Vocabulary(9), max_length=64, budget_tokens=2000, has_segments=True)]
    assert all(len(unit.segments) == len(unit.ids) for unit in units)
    assert {id_ for unit in units for id_ in unit.ids} == set(range(9))


def test_marks_lie_where_heads_read_them() -> None:
    probe = build_probe(VOCABULARY, max_length=64, budget_tokens=2000, marks=("first", "gate", "step", "one", "two"))
    for unit in (one.unit for one in probe):
        (gate,), steps, (one,), (two,) = (unit.marks[name] for name in ("gate", "step", "one", "two"))
        assert unit.marks["first"] == (0,)
        assert gate == unit.prefix_tokens - 1
        assert steps == tuple(sorted(steps))
        assert unit.prefix_tokens <= steps[0] <= steps[-1] < len(unit.ids)
        assert 0 < one < two < len(unit.ids)
