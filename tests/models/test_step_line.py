from __future__ import annotations

from rayreward.models.inputs import ModelInput
from rayreward.models.step_line import Asked, Step, StepLine
from tests.models.scripted import reading, unit


def line(max_step_tokens: int | None = 8) -> StepLine:
    return StepLine(max_step_tokens=max_step_tokens, cost=lambda one: len(one.ids) - one.prefix_tokens)


def ids(step: Step) -> list[int]:
    return [entry.unit.ids[-1] for entry in step.entries]


def test_a_step_is_filled_from_all_callers_and_the_oldest_go_first() -> None:
    waiting = line()
    waiting.add(Asked([unit(0, 0, 1), unit(0, 0, 2)]))
    waiting.add(Asked([unit(0, 3), unit(0, 4)]))
    step = waiting.take(0.0)
    assert (ids(step), step.tokens) == ([1, 2, 3], 8)
    assert ids(waiting.take(0.0)) == [4]
    assert ids(waiting.take(0.0)) == []


def test_what_shares_the_oldest_prompt_goes_with_it_and_pays_for_its_response_only() -> None:
    waiting = line()
    waiting.add(Asked([unit(7, 7, 7, 7, 1, prefix=4), unit(5, 5, 5, 2)]))
    waiting.add(Asked([unit(7, 7, 7, 7, 3, prefix=4)]))
    step = waiting.take(0.0)
    assert (ids(step), step.tokens) == ([1, 3], 6)
    assert ids(waiting.take(0.0)) == [2]


def test_equal_lengths_are_no_equal_prompts() -> None:
    waiting = line()
    waiting.add(Asked([unit(7, 7, 7, 7, 1, prefix=4), unit(7, 7, 7, 8, 2, prefix=4)]))
    assert ids(waiting.take(0.0)) == [1]


def test_one_that_is_too_long_for_any_step_travels_alone_and_one_that_does_not_fit_is_next() -> None:
    waiting = line(max_step_tokens=4)
    waiting.add(Asked([unit(0, 1), unit(0, 0, 0, 0, 0, 0, 2), unit(0, 3)]))
    assert [ids(waiting.take(0.0)) for _ in range(3)] == [[1, 3], [2], []]


def test_without_a_budget_all_that_waits_is_one_step() -> None:
    waiting = line(None)
    waiting.add(Asked([unit(*range(100)), unit(*range(50))]))
    assert len(waiting.take(0.0).entries) == 2


def test_who_has_gone_and_who_is_late_are_in_no_step() -> None:
    waiting = line()
    gone, late, there = Asked([unit(1)]), Asked([unit(2)], deadline_s=5.0), Asked([unit(3)], deadline_s=6.0)
    for asked in (gone, late, there):
        waiting.add(asked)
    gone.done.cancel()
    step = waiting.take(5.0)
    assert ids(step) == [3]
    assert ([one.asked for one in step.gone], [one.asked for one in step.late]) == ([gone], [late])
    assert len(waiting) == 0


def test_answers_are_in_the_callers_order_and_come_with_the_last() -> None:
    asked = Asked([unit(1), unit(2)])
    asked.answer(1, reading(unit(2)))
    assert not asked.done.done()
    failure = ValueError("as scripted")
    asked.answer(0, failure)
    assert asked.done.result(timeout=0) == [failure, reading(unit(2))]


def test_ten_thousand_units_leave_in_steps_that_keep_to_the_budget() -> None:
    waiting = line(max_step_tokens=64)
    units = [ModelInput((number % 97, number % 97, number), 2) for number in range(10_000)]
    waiting.add(Asked(units))
    taken: list[int] = []
    while step := ids(one := waiting.take(0.0)):
        assert one.tokens <= 64
        taken += step
    assert sorted(taken) == list(range(10_000))
