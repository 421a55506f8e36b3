"""What makes a unit one that a model can score, and a reading one that may be answered.

What arrives: units before a step, readings after it. What leaves: for each of them nothing, or the error that is its
answer. The same for every backend that runs a trunk.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rayreward.errors import InvalidInputError, InvalidOutputError
from rayreward.models.heads import LAST, Head
from rayreward.models.inputs import ModelInput, Reading


def refusal(
    unit: ModelInput, *, max_length: int, vocabulary: int, marks: Iterable[str], takes_segments: bool = False
) -> InvalidInputError | None:
    """Why a unit cannot be scored; None where it can.

    Example:
        >>> print(refusal(ModelInput(()), max_length=8, vocabulary=100, marks=()))
        a unit has no tokens: there is nothing to score
        >>> refusal(ModelInput((1, 2)), max_length=8, vocabulary=100, marks=()) is None
        True
    """
    found = _of_ids(unit, max_length, vocabulary) or _of_marks(unit, marks)
    if found is None and unit.segments and not takes_segments:
        found = "a unit has token types, and this backend hands none to its model"
    return InvalidInputError(found) if found else None


def _of_ids(unit: ModelInput, max_length: int, vocabulary: int) -> str | None:
    count = len(unit.ids)
    if not count:
        return "a unit has no tokens: there is nothing to score"
    if count > max_length:
        return f"a unit has {count} tokens, and max_length is {max_length}: cut its prompt, or raise max_length"
    if min(unit.ids) < 0 or max(unit.ids) >= vocabulary:
        wrong = next(one for one in unit.ids if not 0 <= one < vocabulary)
        return f"a unit has the token id {wrong}, and the model knows 0 to {vocabulary - 1}: is it another's tokenizer?"
    if not 0 <= unit.prefix_tokens <= count:
        return f"a unit has {count} tokens, and prefix_tokens says {unit.prefix_tokens}"
    return None


def _of_marks(unit: ModelInput, marks: Iterable[str]) -> str | None:
    for mark in marks:
        positions = unit.marks.get(mark)
        if not positions:
            return (
                f"the model's head reads positions marked {mark!r}, and the unit has none: its template must mark them"
            )
        if not all(0 <= position < len(unit.ids) for position in positions):
            return f"a unit has {len(unit.ids)} tokens, and marks {mark!r} at {list(positions)}"
    return None


def mark_positions(units: Sequence[ModelInput], marks: Iterable[str]) -> dict[str, list[tuple[int, ...]]]:
    """Of each mark and of ``"last"``: each unit's positions.

    Example:
        >>> mark_positions([ModelInput((5, 6, 7), marks={"gate": (1,)})], ["gate"])
        {'last': [(2,)], 'gate': [(1,)]}
    """
    found: dict[str, list[tuple[int, ...]]] = {LAST: [(len(unit.ids) - 1,) for unit in units]}
    return {**found, **{mark: [tuple(unit.marks[mark]) for unit in units] for mark in marks}}


def checked_reading(reading: Reading) -> Reading | InvalidOutputError:
    """The reading, or what it failed by: a number that is none is not a score."""
    numbers: Mapping[str, Sequence[float]] = {
        "raw": (reading.raw,), "score": (reading.score,), "heads": tuple(reading.heads.values()),
        "steps": reading.steps,
    }  # fmt: skip
    wrong: Any = next((name for name, values in numbers.items() if not all(map(math.isfinite, values))), None)
    if wrong is None:
        return reading
    return InvalidOutputError(
        f"the model answered this unit with numbers that are not finite ({wrong}): in float16 an overflow, take "
        f"bfloat16 or float32; else its weights are damaged, or the text is unlike all that it was trained on"
    )


def read_rows(
    head: Head, rows: Mapping[str, Any], positions: Mapping[str, Sequence[Sequence[int]]], computed: Sequence[int]
) -> list[Reading | Exception]:
    """What the head says of each unit, with the tokens that were computed for it; numbers that are none fail.

    Args:
        head: the model's.
        rows: of each mark: hidden rows in fp32, [R, H], in the order of `positions`.
        positions: as `mark_positions` gives them.
        computed: tokens a unit.
    """
    counts = {mark: [len(one) for one in of_units] for mark, of_units in positions.items()}
    readings = head.read(rows, counts)
    if len(readings) != len(computed):
        raise InvalidOutputError(f"a head must read every unit: asked for {len(computed)}, found {len(readings)}")
    paired = zip(readings, computed, strict=True)
    return [checked_reading(replace(reading, computed_tokens=tokens)) for reading, tokens in paired]
