from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

from rayreward.messages import Message
from rayreward.plain import plain
from rayreward.types import RewardInfo


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class HostileDict(dict[str, Any]):
    def items(self) -> Any:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, True, None, "x"]}, {"a": [1, 2.5, True, None, "x"]}),
        ({1: "a", None: "b", (1, 2): "c"}, {"1": "a", "None": "b", "[1, 2]": "c"}),
        ([math.nan, math.inf, -math.inf], [None, None, None]),
        ((2**62, 2**70, -(2**70)), [2**62, str(2**70), str(-(2**70))]),
        (pytest.param(10**5000, "<int that cannot be shown>", id="huge")),
        ("a\ud800b\x00", "a\\ud800b\x00"),
        ({"\ud800": 1}, {"\\ud800": 1}),
        ({3}, [3]),
        (np.arange(3), [0, 1, 2]),
        (np.float32(0.5), 0.5),
        (torch.tensor([[1.0]]), [[1.0]]),
        (torch.empty(1, device="meta"), "tensor(..., device='meta', size=(1,))"),
        (Path("/a"), "/a"),
        (Message(role="user", content="hi"), {"role": "user", "content": "hi"}),
        (b"\xff", "b'\\xff'"),
        (Hostile(), "<Hostile that cannot be shown>"),
        (HostileDict(a=1), "{'a': 1}"),
    ],
)
def test_everything_has_a_form_in_json(value: Any, expected: Any) -> None:
    found = plain(value)
    assert found == expected
    assert json.loads(msgspec.json.encode(found)) == found


def test_values_that_hold_themselves_end_somewhere() -> None:
    loop: dict[str, Any] = {}
    loop["self"] = loop
    assert "nested too deeply" in json.dumps(plain(loop))


def test_records_become_objects() -> None:
    @dataclasses.dataclass
    class Point:
        x: float

    assert plain([Point(math.nan), RewardInfo("r", "ready")])[0] == {"x": None}
