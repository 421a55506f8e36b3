"""Plain values as bytes, and back, where the other side is hostile.

What arrives: values of exactly the builtin types; anything else (an instance, a subclass, a function) becomes an
`Opaque` that knows its class's name. What leaves: bytes, or an equal value made of the builtin types. What this
promises: decoding any bytes ends soon, in memory proportional to their number, and raises nothing but `CodecError`;
no code of the other side runs. Identity is lost: a list that occurs twice comes out as two lists.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

MAX_BYTES: Final = 16 << 20
"""Of one value: a hundred times what a test case needs, and soon read."""

MAX_DEPTH: Final = 100
"""Of containers within each other; what compares or prints them recurses as deep."""

MAX_COUNT: Final = 1_000_000
"""Of values in one: bounds the memory, about 60 bytes each."""

MAX_COLLISIONS: Final = 32
"""Keys of one dict or set with the same hash. Integers are easily chosen so, and n of them cost n² comparisons."""

_LENGTH = struct.Struct("<I")
_FLOAT = struct.Struct("<d")
_COMPLEX = struct.Struct("<dd")


class CodecError(ValueError):
    """A value that cannot travel, or bytes that are no value."""


@dataclass(frozen=True)
class Opaque:
    """An object that has no plain form; all that is known of it is the name of its class."""

    type_name: str


def encode(value: Any) -> bytes:
    """A value as bytes.

    Raises:
        CodecError: it is too deep, too large, or has too many parts.

    Example:
        >>> decode(encode({"pairs": [(1, 2.5), None], "what": len}))
        {'pairs': [(1, 2.5), None], 'what': Opaque(type_name='builtin_function_or_method')}
    """
    encoder = _Encoder()
    encoder.put(value, MAX_DEPTH)
    return b"".join(encoder.parts)


class _Encoder:
    """Every check is of the exact type, so that no method of a subclass is ever called."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self._bytes_left = MAX_BYTES
        self._count_left = MAX_COUNT

    def put(self, value: Any, depth_left: int) -> None:
        self._count_left -= 1
        if self._count_left < 0:
            raise CodecError(f"a value of more than {MAX_COUNT} parts")
        kind = type(value)
        if value is None:
            self._add(b"N")
        elif kind is bool:
            self._add(b"T" if value else b"F")
        elif kind is int:
            self._put_bytes(b"i", value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True))
        elif kind is float:
            self._add(b"f" + _FLOAT.pack(value))
        elif kind is str:
            self._put_bytes(b"s", value.encode("utf-8", "surrogatepass"))
        elif kind is bytes:
            self._put_bytes(b"b", value)
        elif kind is complex:
            self._add(b"c" + _COMPLEX.pack(value.real, value.imag))
        elif kind in _CONTAINERS:
            self._put_parts(_CONTAINERS[kind], value, depth_left)
        elif kind is dict:
            self._put_parts(b"d", [part for item in value.items() for part in item], depth_left)
        else:
            name = value.type_name if kind is Opaque else type.__dict__["__name__"].__get__(kind)
            self._put_bytes(b"o", (name if type(name) is str else "?")[:200].encode("utf-8", "surrogatepass"))

    def _put_parts(self, tag: bytes, values: Any, depth_left: int) -> None:
        if not depth_left:
            raise CodecError(f"a value of more than {MAX_DEPTH} containers within each other")
        self._add(tag + _LENGTH.pack(len(values)))
        for one in values:
            self.put(one, depth_left - 1)

    def _put_bytes(self, tag: bytes, content: bytes) -> None:
        if len(content) > self._bytes_left:
            raise CodecError(f"a value of more than {MAX_BYTES} bytes")
        self._add(tag + _LENGTH.pack(len(content)) + content)

    def _add(self, part: bytes) -> None:
        self._bytes_left -= len(part)
        if self._bytes_left < 0:
            raise CodecError(f"a value of more than {MAX_BYTES} bytes")
        self.parts.append(part)


_CONTAINERS: Final[dict[type, bytes]] = {list: b"l", tuple: b"t", set: b"S", frozenset: b"Z"}


def decode(content: bytes) -> Any:
    """The value that the bytes are of.

    Raises:
        CodecError: they are no value, or one beyond the limits.
    """
    if len(content) > MAX_BYTES:
        raise CodecError(f"a value of more than {MAX_BYTES} bytes")
    decoder = _Decoder(content)
    value = decoder.take(MAX_DEPTH)
    if decoder.at != len(content):
        raise CodecError("bytes after the value's end")
    return value


class _Decoder:
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._count_left = MAX_COUNT
        self.at = 0

    def take(self, depth_left: int) -> Any:
        self._count_left -= 1
        if self._count_left < 0:
            raise CodecError(f"a value of more than {MAX_COUNT} parts")
        tag = self._next(1)
        if tag in _CONSTANTS:
            return _CONSTANTS[tag]
        if tag in _SCALARS:
            size, read = _SCALARS[tag]
            return read(self._next(size))
        (length,) = _LENGTH.unpack(self._next(4))
        if tag in _TEXTS:
            try:
                return _TEXTS[tag](self._next(length))
            except UnicodeDecodeError:
                raise CodecError("text that is none") from None
        if not depth_left:
            raise CodecError(f"a value of more than {MAX_DEPTH} containers within each other")
        if length > len(self._content) - self.at:  # every part takes a byte at least
            raise CodecError("a container that is longer than its bytes")
        if tag == b"l":
            return [self.take(depth_left - 1) for _ in range(length)]
        if tag == b"t":
            return tuple([self.take(depth_left - 1) for _ in range(length)])
        if tag == b"S":
            return set(self._keys(length, depth_left))
        if tag == b"Z":
            return frozenset(self._keys(length, depth_left))
        if tag == b"d" and length % 2 == 0:
            return self._dict(length // 2, depth_left)
        raise CodecError(f"no value begins with {tag!r}")

    def _next(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._content):
            raise CodecError("bytes that end within a value")
        found = self._content[self.at : end]
        self.at = end
        return found

    def _keys(self, length: int, depth_left: int) -> list[Any]:
        keys, hashes = [], _Hashes()
        for _ in range(length):
            keys.append(self.take(depth_left - 1))
            hashes.count(keys[-1])
        return keys

    def _dict(self, length: int, depth_left: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        hashes = _Hashes()
        for _ in range(length):
            key = self.take(depth_left - 1)
            hashes.count(key)
            found[key] = self.take(depth_left - 1)
        return found


class _Hashes:
    """Refuses keys whose hashes were chosen to be alike."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def count(self, key: Any) -> None:
        try:
            found = hash(key)
        except TypeError:
            raise CodecError(f"a key that has no hash: {type(key).__name__}") from None
        self._counts[found] = seen = self._counts.get(found, 0) + 1
        if seen > MAX_COLLISIONS:
            raise CodecError(f"more than {MAX_COLLISIONS} keys with one hash")


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")


_CONSTANTS: Final[dict[bytes, Any]] = {b"N": None, b"T": True, b"F": False}
_SCALARS: Final[dict[bytes, tuple[int, Callable[[bytes], Any]]]] = {
    b"f": (8, lambda content: _FLOAT.unpack(content)[0]),
    b"c": (16, lambda content: complex(*_COMPLEX.unpack(content))),
}
_TEXTS: Final[dict[bytes, Callable[[bytes], Any]]] = {
    b"i": lambda content: int.from_bytes(content, "little", signed=True),
    b"s": _text,
    b"b": bytes,
    b"o": lambda content: Opaque(_text(content)),
}
