from __future__ import annotations

import random

import pytest

from rayreward.models.steps import UnitCost, plan_steps, tokens_of


def test_nothing_needs_no_step() -> None:
    assert plan_steps([], 100) == []


def test_a_unit_over_the_budget_travels_alone() -> None:
    assert plan_steps([UnitCost(30), UnitCost(500), UnitCost(40)], 100) == [[1], [0, 2]]


def test_siblings_that_one_step_cannot_hold_are_parted_and_pay_twice() -> None:
    costs = [UnitCost(30, 50, "prompt")] * 3
    steps = plan_steps(costs, 110)
    assert steps == [[0, 1], [2]]
    assert [tokens_of(costs[at] for at in step) for step in steps] == [110, 80]


def test_siblings_of_a_prompt_over_the_budget_travel_alone() -> None:
    assert sorted(plan_steps([UnitCost(1, 200, "prompt")] * 3, 100)) == [[0], [1], [2]]


def test_answers_without_tokens_of_their_own_cost_nothing_more() -> None:
    costs = [UnitCost(0, 100, "prompt")] * 3
    assert plan_steps(costs, 100) == [[0, 1, 2]]


@pytest.mark.parametrize("seed", range(100))
def test_every_plan_holds_every_unit_once_and_no_step_is_over_the_budget(seed: int) -> None:
    draw = random.Random(seed)
    budget = draw.randint(1, 300)
    prefixes = {name: draw.randint(1, 150) for name in "abc"}
    costs = []
    for _ in range(draw.randint(0, 30)):
        name = draw.choice([None, *prefixes])
        costs.append(UnitCost(draw.randint(0 if name else 1, 120), prefixes.get(name or "", 0), name))
    steps = plan_steps(costs, budget)
    assert sorted(at for step in steps for at in step) == list(range(len(costs)))
    sizes = [tokens_of(costs[at] for at in step) for step in steps]
    assert all(size <= budget or len(step) == 1 for size, step in zip(sizes, steps, strict=True))
    assert sizes == sorted(sizes, reverse=True)
    for name, prefix_tokens in prefixes.items():  # whole families stay together where they fit
        family = [at for at, cost in enumerate(costs) if cost.prefix == name]
        if family and prefix_tokens + sum(costs[at].own_tokens for at in family) <= budget:
            assert len([step for step in steps if set(step) & set(family)]) == 1
    assert len([size for size in sizes if size <= budget / 2]) <= 1, "two steps that would fit into one"
