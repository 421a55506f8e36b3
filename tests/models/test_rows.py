from __future__ import annotations

import random

import pytest

from rayreward.models.rows import ROW_TOKENS, Row, choose_capacity, padded_tokens, plan_row_steps, plan_rows


def log_normal_lengths(count: int) -> list[int]:
    """What rewards read: a median of 300 tokens, the longest cut at an encoder's 512."""
    draw = random.Random(0)
    return [min(max(round(draw.lognormvariate(5.7, 0.75)), 50), 512) for _ in range(count)]


def computed(lengths: list[int], capacity: int, budget: int) -> int:
    return sum(padded_tokens(step) for step in plan_row_steps(plan_rows(lengths, capacity), budget))


def test_512_texts_fill_their_rows() -> None:
    lengths = log_normal_lengths(512)
    shared, alone = computed(lengths, ROW_TOKENS, 8192), computed(lengths, 0, 8192)
    assert shared / sum(lengths) <= 1.05  # measured: 1.015
    assert shared < alone
    assert alone / sum(lengths) <= 1.1  # sorted, at a depth of 512; the shallower the queue, the more padding


@pytest.mark.parametrize("capacity", [0, 100, 512])
@pytest.mark.parametrize("budget", [1, 300, 4000])
def test_every_unit_is_in_one_row_of_one_step_within_the_limits(capacity: int, budget: int) -> None:
    lengths = log_normal_lengths(100)
    steps = plan_row_steps(plan_rows(lengths, capacity), budget)
    rows = [row for step in steps for row in step]
    assert sorted(at for row in rows for at in row.units) == list(range(100))
    for row in rows:
        assert row.tokens == sum(lengths[at] for at in row.units)
        assert row.tokens <= capacity or len(row.units) == 1
    for step in steps:
        assert padded_tokens(step) <= budget or len(step) == 1


@pytest.mark.parametrize("seed", range(20))
def test_a_steps_rows_planned_again_from_its_units_are_the_same(seed: int) -> None:
    """What a step costs is asked again before it runs: another answer would never end."""
    draw = random.Random(seed)
    lengths = [draw.randint(1, 600) for _ in range(80)]
    for step in plan_row_steps(plan_rows(lengths, 512), 2048):
        units = sorted(at for row in step for at in row.units)
        again = plan_rows([lengths[at] for at in units], 512)
        assert [Row(row.tokens, tuple(units[at] for at in row.units)) for row in again] == step


@pytest.mark.parametrize("depth", [64, 512])
@pytest.mark.parametrize("width", [768, 1024])
def test_the_cheapest_rows_of_real_encoders_compute_few_tokens_too_many(depth: int, width: int) -> None:
    lengths = log_normal_lengths(depth)
    capacity = choose_capacity(lengths, 8192, width)
    assert computed(lengths, capacity, 8192) / sum(lengths) <= 1.1


def test_short_texts_share_rows_that_are_short() -> None:
    assert choose_capacity([20, 30, 40] * 20, 8192, 768) in (0, 128)


def test_nothing_is_planned_of_nothing() -> None:
    assert plan_row_steps(plan_rows([], 512), 100) == []
    assert padded_tokens([]) == 0
