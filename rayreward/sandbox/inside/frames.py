"""Length-prefixed values over a descriptor: how a program's process talks with who asked for it.

What arrives: plain values. What leaves: the same, on the other side.
"""

from __future__ import annotations

import os
import struct
from typing import Any

from rayreward.sandbox.inside.codec import decode, encode

HEADER = struct.Struct("<I")
REPORT = struct.Struct("<?id")
"""How a program ended, as the zygote tells it: whether it ran, its status, its CPU seconds; then why, as text."""

RETURNED = struct.Struct("<IQ")
"""Before a file that comes back: which of those that were wanted, and its size."""


def frame(value: Any) -> bytes:
    """A value as one frame.

    Raises:
        CodecError: it cannot travel.
    """
    content = encode(value)
    return HEADER.pack(len(content)) + content


READY = frame("ready")
"""Sent by a process that is confined and has seen nothing of its program yet."""


def send(descriptor: int, content: bytes) -> None:
    """Write all of it."""
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]


def receive(descriptor: int) -> Any:
    """The next value.

    Raises:
        EOFError: nobody is at the other end any more.
    """
    return decode(receive_raw(descriptor))


def receive_raw(descriptor: int) -> bytes:
    """The next frame's content, whatever it is.

    Raises:
        EOFError: nobody is at the other end any more.
    """
    (size,) = HEADER.unpack(_read(descriptor, HEADER.size))
    return _read(descriptor, size)


def _read(descriptor: int, size: int) -> bytes:
    chunks = [os.read(descriptor, size)]
    if len(chunks[0]) == size:
        return chunks[0]
    size -= len(chunks[0])
    while size:
        chunk = os.read(descriptor, min(size, 1 << 20))
        if not chunk:
            raise EOFError
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
