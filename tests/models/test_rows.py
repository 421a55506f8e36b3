from __future__ import annotations

import random

import pytest

from rayreward.models.rows import ROW_TOKENS, Row, choose_capacity, padded_tokens, plan_row_steps, plan_rows

ON_A_CPU, ON_A_GPU = 128, 2048
"""What a further step costs."""


def log_normal_lengths(count: int, seed: int = 0) -> list[int]:
    """What rewards read: a median of 300 tokens, the longest cut at an encoder's 512."""
    draw = random.Random(seed)
    return [min(max(round(draw.lognormvariate(5.7, 0.75)), 50), 512) for _ in range(count)]


def computed(lengths: list[int], capacity: int, budget: int, step_cost: int = ON_A_CPU) -> int:
    steps = plan_row_steps(plan_rows(lengths, capacity), budget, step_cost_tokens=step_cost)
    return sum(padded_tokens(step) for step in steps)


def test_512_texts_fill_their_rows() -> None:
    lengths = log_normal_lengths(512)
    shared, alone = (computed(lengths, capacity, 8192, ON_A_GPU) for capacity in (ROW_TOKENS, 0))
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


@pytest.mark.parametrize("depth", [8, 16, 32, 64, 512])
@pytest.mark.parametrize("width", [768, 1024])
@pytest.mark.parametrize("seed", range(5))
def test_the_cheapest_rows_of_real_encoders_compute_few_tokens_too_many(depth: int, width: int, seed: int) -> None:
    lengths = log_normal_lengths(depth, seed)
    capacity = choose_capacity(lengths, 8192, width, step_cost_tokens=ON_A_CPU)
    assert computed(lengths, capacity, 8192) / sum(lengths) <= (1.1 if depth > 8 else 1.2)


def test_a_step_more_is_made_where_it_costs_less_than_the_padding_that_it_saves() -> None:
    rows = plan_rows([500, 490, 60, 50], 0)
    assert [[row.tokens for row in step] for step in plan_row_steps(rows, 8192, step_cost_tokens=128)] == [
        [500, 490],
        [60, 50],
    ]
    assert len(plan_row_steps(rows, 8192, step_cost_tokens=ON_A_GPU)) == 1
    assert [len(step) for step in plan_row_steps(rows, 500, step_cost_tokens=ON_A_GPU)] == [1, 1, 2]


def test_short_texts_share_rows_that_are_short() -> None:
    assert choose_capacity([20, 30, 40] * 20, 8192, 768) in (0, 128)


def test_nothing_is_planned_of_nothing() -> None:
    assert plan_row_steps(plan_rows([], 512), 100) == []
    assert padded_tokens([]) == 0
