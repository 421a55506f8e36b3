from __future__ import annotations

import random

import pytest

from rayreward.models.inputs import ModelInput
from rayreward.models.layout import MIN_SHARED_TOKENS, Layout, Segment, build_layout, shared_prefixes

PROMPT = tuple(range(100, 100 + MIN_SHARED_TOKENS))


def seen_by(layout: Layout, unit: int, position: int) -> list[int]:
    """The ids that a causal layer sees from a unit's token, itself among them."""
    row = layout.row(unit, position)
    [segment] = [one for one in layout.segments if one.start <= row < one.stop]
    rows = [*range(segment.prefix_start, segment.prefix_stop), *range(segment.start, row + 1)]
    return [layout.ids[one] for one in rows]


def assert_every_token_sees_its_own_unit(units: list[ModelInput], layout: Layout) -> None:
    for at, unit in enumerate(units):
        for position in range(len(unit.ids)):
            assert seen_by(layout, at, position) == list(unit.ids[: position + 1])
            assert layout.positions[layout.row(at, position)] == position


def test_units_without_siblings_lie_end_to_end() -> None:
    units = [ModelInput((1, 2, 3)), ModelInput((4,)), ModelInput((5, 6))]
    layout = build_layout(units)
    assert layout.ids == [1, 2, 3, 4, 5, 6]
    assert layout.positions == [0, 1, 2, 0, 0, 1]
    assert layout.segments == [Segment(0, 3), Segment(3, 4), Segment(4, 6)]
    assert layout.computed_tokens == [3, 1, 2]


def test_siblings_share_their_prompt() -> None:
    units = [ModelInput((*PROMPT, 1), 16), ModelInput((7, 8)), ModelInput((*PROMPT, 2, 3), 16)]
    layout = build_layout(units)
    assert layout.ids == [*PROMPT, 1, 7, 8, 2, 3]
    assert layout.segments[-1] == Segment(19, 21, 0, 16)
    assert layout.computed_tokens == [8 + 1, 2, 8 + 2]
    assert_every_token_sees_its_own_unit(units, layout)


def test_a_sibling_without_an_answer_ends_at_the_prompts_end() -> None:
    units = [ModelInput(PROMPT, 16), ModelInput((*PROMPT, 1), 16), ModelInput(PROMPT, 16)]
    layout = build_layout(units)
    assert layout.ids == [*PROMPT, 1]
    assert layout.row(0, 15) == layout.row(2, 15) == 15
    assert layout.computed_tokens == [6, 5 + 1, 5]
    assert_every_token_sees_its_own_unit(units, layout)


def test_a_prompt_that_begins_another_is_a_prompt_of_its_own() -> None:
    longer = (*PROMPT, 50, 51)
    units = [ModelInput((*prompt, answer), len(prompt)) for prompt in (PROMPT, longer) for answer in (1, 2)]
    layout = build_layout(units)
    assert len(layout.ids) == len(PROMPT) + len(longer) + 4
    assert_every_token_sees_its_own_unit(units, layout)


def test_nothing_is_shared_where_it_does_not_pay_or_must_not() -> None:
    short = [ModelInput((1, 2, answer), 2) for answer in (3, 4)]
    assert shared_prefixes(short) == [None, None]
    assert shared_prefixes([ModelInput((*PROMPT, 1), 16), ModelInput((*PROMPT, 2), 17)]) == [None, None]
    siblings = [ModelInput((*PROMPT, answer), 16) for answer in (1, 2)]
    assert len(build_layout(siblings, shares_prefixes=False).ids) == 34


@pytest.mark.parametrize("seed", range(30))
def test_any_mixture_keeps_every_unit_whole(seed: int) -> None:
    draw = random.Random(seed)
    prompts = [tuple(draw.choices(range(3), k=draw.randint(14, 20))) for _ in range(3)]
    units = []
    for _ in range(draw.randint(1, 9)):
        prompt = draw.choice(prompts)
        answer = tuple(draw.choices(range(3), k=draw.randint(0, 4)))
        units.append(ModelInput(prompt + answer, draw.choice([0, len(prompt)])))
    layout = build_layout(units)
    assert_every_token_sees_its_own_unit(units, layout)
    assert sum(layout.computed_tokens) == len(layout.ids) == len(layout.positions)
    assert [one.start for one in layout.segments] == [0, *(one.stop for one in layout.segments[:-1])]
