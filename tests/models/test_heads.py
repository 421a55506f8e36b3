from __future__ import annotations

from typing import Any

import pytest
import torch

from rayreward.errors import RewardLoadError
from rayreward.models.heads import LAST, LinearHead


def read(head: LinearHead, rows: Any) -> list[Any]:
    return head.read({LAST: rows}, {LAST: [1] * len(rows)})


def test_the_last_row_is_multiplied_and_normalised() -> None:
    head = LinearHead(torch.tensor([[1.0, -1.0]]), torch.tensor([0.5]), mean=1.0, std=4.0)
    first, second = read(head, torch.tensor([[3.0, 1.0], [0.0, 2.0]]))
    assert (first.raw, first.score) == (2.5, 0.375)
    assert (second.raw, second.score) == (-1.5, -0.625)


def test_weights_in_bf16_are_read_in_fp32() -> None:
    weight = torch.tensor([[1.0, 1.0]], dtype=torch.bfloat16)
    [reading] = read(LinearHead(weight), torch.tensor([[10.0, 0.03125]]))
    assert reading.raw == 10.03125  # bf16 would say 10.0625 or 10.0


def test_a_number_does_not_depend_on_its_neighbours() -> None:
    head = LinearHead(torch.randn(1, 33, generator=torch.Generator().manual_seed(0)))
    rows = torch.randn(50, 33, generator=torch.Generator().manual_seed(1))
    together = [one.raw for one in read(head, rows)]
    assert together == [read(head, row[None])[0].raw for row in rows]


def test_several_outputs_are_named_and_weighted() -> None:
    head = LinearHead(torch.eye(2), names=("helpful", "short"), weights=(1.0, 0.5))
    [reading] = read(head, torch.tensor([[3.0, 2.0]]))
    assert (reading.raw, dict(reading.heads)) == (4.0, {"helpful": 3.0, "short": 2.0})


def test_what_is_not_finite_is_handed_on() -> None:
    head = LinearHead(torch.eye(2), names=("a", "b"), weights=(1.0, 1.0))
    [reading] = read(head, torch.tensor([[float("inf"), float("-inf")]]))
    assert reading.raw != reading.raw


@pytest.mark.parametrize(
    ("weight", "options", "says"),
    [
        (torch.ones(3), {}, "found the shape"),
        (torch.ones(0, 3), {}, "found the shape"),
        (torch.ones(1, 3), {"bias": torch.ones(2)}, "found a bias"),
        (torch.tensor([[1.0, float("nan")]]), {}, "not all finite"),
        (torch.ones(1, 3), {"std": 0.0}, "std over 0"),
        (torch.ones(1, 3), {"mean": float("inf")}, "std over 0"),
        (torch.ones(2, 3), {}, "which of them is the reward"),
        (torch.ones(2, 3), {"names": ("a", "b")}, "which of them is the reward"),
    ],
)
def test_a_head_that_cannot_be_right_is_refused(weight: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(RewardLoadError, match=says):
        LinearHead(weight, **options)
