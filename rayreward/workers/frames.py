"""Length-prefixed pickles over a socket pair: how a replica and its worker process talk.

What arrives: Python values. What leaves: the same values on the other side, in order. Both ends are our own
processes of one user on one machine; nothing from the network is ever read by this.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
from typing import Any

_HEADER = struct.Struct("!Q")


def encode_frame(value: Any) -> bytes:
    """A value as one frame."""
    payload = pickle.dumps(value, protocol=5)
    return _HEADER.pack(len(payload)) + payload


async def read_frame(reader: asyncio.StreamReader) -> Any:
    """The next value.

    Raises:
        asyncio.IncompleteReadError: the other side is gone.
    """
    (size,) = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    return pickle.loads(await reader.readexactly(size))


def receive(connection: socket.socket) -> Any:
    """The next value, blocking.

    Raises:
        EOFError: the other side is gone.
    """
    (size,) = _HEADER.unpack(_read_exactly(connection, _HEADER.size))
    return pickle.loads(_read_exactly(connection, size))


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    chunks, missing = [], size
    while missing:
        chunk = connection.recv(min(missing, 1 << 20))
        if not chunk:
            raise EOFError("the other side closed the connection")
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)
