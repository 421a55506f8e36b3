from __future__ import annotations

import pytest

from rayreward.errors import InvalidOutputError
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.units import checked_reading, refusal

NAN = float("nan")


@pytest.mark.parametrize(
    ("unit", "says"),
    [
        (ModelInput(()), "no tokens"),
        (ModelInput((1,) * 11), "11 tokens, and max_length is 10"),
        (ModelInput((1, 100)), "token id 100"),
        (ModelInput((1, -1)), "token id -1"),
        (ModelInput((1, 2), prefix_tokens=3), "prefix_tokens says 3"),
        (ModelInput((1, 2), segments=(0, 1), marks={"gate": (0,)}), "token types"),
        (ModelInput((1, 2)), "marked 'gate', and the unit has none"),
        (ModelInput((1, 2), marks={"gate": ()}), "marked 'gate', and the unit has none"),
        (ModelInput((1, 2), marks={"gate": (2,)}), r"marks 'gate' at \[2\]"),
    ],
)
def test_a_unit_that_cannot_be_scored_says_why(unit: ModelInput, says: str) -> None:
    found = refusal(unit, max_length=10, vocabulary=100, marks=("gate",))
    with pytest.raises(ValueError, match=says):
        raise found or AssertionError


def test_a_unit_that_can_be_scored_is_not_refused() -> None:
    unit = ModelInput((0, 99), prefix_tokens=2, segments=(0, 1), marks={"gate": (0, 1)})
    assert refusal(unit, max_length=2, vocabulary=100, marks=("gate",), takes_segments=True) is None


@pytest.mark.parametrize(
    "reading",
    [Reading(NAN, 1.0), Reading(1.0, float("inf")), Reading(1.0, 1.0, {"a": NAN}), Reading(1.0, 1.0, steps=(0.1, NAN))],
)
def test_numbers_that_are_none_are_no_reading(reading: Reading) -> None:
    assert isinstance(checked_reading(reading), InvalidOutputError)


def test_a_reading_of_numbers_stays_as_it_is() -> None:
    reading = Reading(1.0, 0.5, {"a": 1e30}, (0.1, 0.2))
    assert checked_reading(reading) is reading
