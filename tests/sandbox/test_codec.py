from __future__ import annotations

import math
import random
import struct
import time
from collections import OrderedDict
from enum import IntEnum
from typing import Any

import pytest

from rayreward.sandbox.inside import codec
from rayreward.sandbox.inside.codec import CodecError, Opaque, decode, encode

PLAIN = [
    None, True, False, 0, 1, -1, 127, 128, -128, -129, 2**64, -(3**5000), 0.0, -0.0, 1.5, math.inf, -math.inf, 2 + 3j,
    "", "text", "\ud800 lone", "\0", "ü", b"", b"\xff\0", [], [1, [2, [3]]], (), (1, "a"), {}, {1: "a", (1, 2): [3]},
    set(), {1, 2}, frozenset({"a"}), {"set": {frozenset({1})}}, [None] * 1000, Opaque("numpy.ndarray"),
]  # fmt: skip


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: f"{value!r:.30}" if not isinstance(value, int) else None)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    back = decode(encode(value))
    assert back == value
    assert type(back) is type(value)


def test_nan_comes_back_as_nan_and_minus_zero_with_its_sign() -> None:
    assert math.isnan(decode(encode(math.nan)))
    assert math.copysign(1, decode(encode(-0.0))) == -1


def test_a_bool_within_is_no_int() -> None:
    assert [type(one) for one in decode(encode([True, 1, 1.0]))] == [bool, int, float]


class Lying(int):
    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 1


class Colour(IntEnum):
    RED = 1


class Named(type):
    @property
    def __name__(cls) -> str:  # type: ignore[override]
        raise RuntimeError("asked for its name")


class Nameless(metaclass=Named):
    pass


@pytest.mark.parametrize(
    ("value", "name"),
    [(Lying(3), "Lying"), (Colour.RED, "Colour"), (OrderedDict(a=1), "OrderedDict"), (object(), "object"),
     (len, "builtin_function_or_method"), (bytearray(b"x"), "bytearray"), (range(3), "range"),
     (Nameless(), "Nameless")],
)  # fmt: skip
def test_anything_else_is_known_by_the_name_of_its_class(value: Any, name: str) -> None:
    assert decode(encode(value)) == Opaque(name)
    assert decode(encode([value])) == [Opaque(name)]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_what_is_too_deep_too_large_or_circular_cannot_travel() -> None:
    assert decode(encode(nested(codec.MAX_DEPTH))) == nested(codec.MAX_DEPTH)
    circle: list[Any] = []
    circle.append(circle)
    for value in (nested(codec.MAX_DEPTH + 1), circle, "x" * (codec.MAX_BYTES + 1), [0] * (codec.MAX_COUNT + 1)):
        with pytest.raises(CodecError):
            encode(value)


def length(count: int) -> bytes:
    return struct.pack("<I", count)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"?", b"i", b"i\1\0\0", b"s" + length(5) + b"abc", b"s" + length(1) + b"\xff", b"f\0", b"NN",
        b"l" + length(2**32 - 1), b"l" + length(10) + b"N", b"d" + length(1) + b"N",
        b"d" + length(2) + b"l" + length(0) + b"N",
        b"S" + length(1) + b"d" + length(0), (b"l" + length(1)) * 100_000 + b"N", b"o" + length(2) + b"\xff\xff",
        b"t" + length(2**31) + b"N" * 100,
    ],
)  # fmt: skip
def test_what_is_no_value_is_refused(content: bytes) -> None:
    with pytest.raises(CodecError):
        decode(content)


def test_keys_that_collide_on_purpose_are_refused_before_they_cost_time() -> None:
    modulus = 2**61 - 1
    for container in (b"S", b"Z"):
        hostile = container + length(20_000) + b"".join(encode(modulus * (at + 1)) for at in range(20_000))
        with pytest.raises(CodecError, match="one hash"):
            decode(hostile)
    pairs = b"d" + length(40_000) + b"".join(encode(modulus * (at + 1)) + b"N" for at in range(20_000))
    with pytest.raises(CodecError, match="one hash"):
        decode(pairs)


def test_any_bytes_are_a_value_or_an_error() -> None:
    draw = random.Random(7)
    started_s = time.process_time()
    for _ in range(3_000):
        content = bytearray(encode(draw.choice(PLAIN)))
        for _ in range(draw.randrange(1, 4)):
            content.insert(draw.randrange(len(content) + 1), draw.randrange(256))
        try:
            decode(bytes(content))
        except CodecError:
            continue
    assert time.process_time() - started_s < 60
