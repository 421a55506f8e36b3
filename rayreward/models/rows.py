"""Which units share a row, and which rows a forward pass: the plan of padded batches, decided purely.

What arrives: lengths, and the most tokens that one step may carry. What leaves: rows of units, and steps of rows. It
promises: every unit is in exactly one row; no row is over its capacity, but for a unit that is over it alone; no step
is over the budget, padding counted, but for a row that is over it alone. The rows of a step, planned again from its
units, are the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

ROW_TOKENS = 512
"""Capacity of a row that several units share: what encoders were trained at. Longer rows waste less at their ends, and
cost more in attention, which grows with the row's square."""


CAPACITIES_TOKENS = (0, 128, 256, ROW_TOKENS)
"""What is weighed: a row a text, and texts sharing rows of these."""

_LAYER_COST, _ATTENTION_COST = 24, 26
"""What a token costs in a layer, in multiplications by the hidden width: its own products, and attention for each
token of its row. The second is DeBERTa's eager attention on a CPU (width 256, 64 log-normal texts: rows of 512 took
1.13 times the CPU seconds of a row a text, with 0.92 times the tokens)."""


class Row(NamedTuple):
    """Units side by side in one row, in order."""

    tokens: int
    units: tuple[int, ...]


def plan_rows(lengths: Sequence[int], capacity_tokens: int) -> list[Row]:
    """Rows by first fit, decreasing; the longest first. A capacity of 0 gives each unit its own.

    Example:
        >>> plan_rows([300, 100, 500, 200], 512)
        [Row(tokens=500, units=(2,)), Row(tokens=500, units=(0, 3)), Row(tokens=100, units=(1,))]
    """
    tokens: list[int] = []
    units: list[list[int]] = []
    for at in sorted(range(len(lengths)), key=lambda at: -lengths[at]):
        row = next((row for row, used in enumerate(tokens) if used + lengths[at] <= capacity_tokens), None)
        if row is None:
            tokens.append(lengths[at])
            units.append([at])
        else:
            tokens[row] += lengths[at]
            units[row].append(at)
    rows = [Row(used, tuple(inside)) for used, inside in zip(tokens, units, strict=True)]
    return sorted(rows, key=lambda row: -row.tokens)


def plan_row_steps(rows: Sequence[Row], budget_tokens: int, *, step_cost_tokens: int = 0) -> list[list[Row]]:
    """Steps of rows of about one width, each padded to its longest row, so that all of them together cost least.

    Args:
        rows: to be computed.
        budget_tokens: of a step, its padding counted.
        step_cost_tokens: what a further step costs, in the tokens that are computed in the same time.

    Example:
        >>> rows = [Row(500, (0,)), Row(490, (1,)), Row(60, (2,))]
        >>> [len(step) for step in plan_row_steps(rows, 2000, step_cost_tokens=128)]
        [2, 1]
        >>> [len(step) for step in plan_row_steps(rows, 2000, step_cost_tokens=1024)]
        [3]
    """
    ordered = sorted(rows, key=lambda row: -row.tokens)
    least: list[float] = [0.0] + [math.inf] * len(ordered)  # of the first so many rows
    starts = [0] * (len(ordered) + 1)  # where the last step of those begins
    for start, longest in enumerate(ordered):
        for stop in range(start + 1, len(ordered) + 1):
            tokens = (stop - start) * longest.tokens
            if tokens > budget_tokens and stop > start + 1:
                break
            cost = least[start] + tokens + step_cost_tokens
            if cost < least[stop]:
                least[stop], starts[stop] = cost, start
    steps: list[list[Row]] = []
    stop = len(ordered)
    while stop:
        steps.append(ordered[starts[stop] : stop])
        stop = starts[stop]
    return steps[::-1]


def padded_tokens(rows: Sequence[Row]) -> int:
    """What the device works through in a step of these rows.

    Example:
        >>> padded_tokens([Row(500, (0,)), Row(490, (1,))])
        1000
    """
    return len(rows) * max((row.tokens for row in rows), default=0)


def choose_capacity(lengths: Sequence[int], budget_tokens: int, hidden_width: int, *, step_cost_tokens: int = 0) -> int:
    """The capacity of rows that costs least: shared rows waste fewer tokens, and each of them sees a wider row.

    Example:
        >>> choose_capacity([500, 40, 30, 20], 8192, hidden_width=1024, step_cost_tokens=128)
        128
        >>> choose_capacity([300, 300, 300], 8192, hidden_width=1024, step_cost_tokens=128)
        0
    """

    def cost(capacity_tokens: int) -> int:
        rows = plan_rows(lengths, min(capacity_tokens, budget_tokens))
        steps = plan_row_steps(rows, budget_tokens, step_cost_tokens=step_cost_tokens)
        widths = [(padded_tokens(step), step[0].tokens) for step in steps]
        computed = sum(tokens * (_LAYER_COST * hidden_width + _ATTENTION_COST * width) for tokens, width in widths)
        return computed + len(steps) * step_cost_tokens * _LAYER_COST * hidden_width

    return min(CAPACITIES_TOKENS, key=cost)
