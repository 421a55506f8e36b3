"""Length-prefixed pickles over a socket pair: how a process and its workers talk.

What arrives: Python values. What leaves: the same values on the other side, in order. Both ends are our own
processes of one user on one machine; nothing from the network is ever read by this.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

HEADER = struct.Struct("!Q")
"""How many bytes the pickle has that follows."""


def encode_frame(value: Any) -> bytes:
    """A value as one frame."""
    payload = pickle.dumps(value, protocol=5)
    return HEADER.pack(len(payload)) + payload


def receive(connection: socket.socket) -> Any:
    """The next value, blocking.

    Raises:
        EOFError: the other side is gone.
    """
    return pickle.loads(receive_pickle(connection))


def receive_pickle(connection: socket.socket) -> bytes:
    """The next value, still pickled, blocking.

    Raises:
        EOFError: the other side is gone.
    """
    (size,) = HEADER.unpack(_receive_exactly(connection, HEADER.size))
    return _receive_exactly(connection, size)


def _receive_exactly(connection: socket.socket, size: int) -> bytes:
    chunks, missing = [], size
    while missing:
        chunk = connection.recv(min(missing, 1 << 20))
        if not chunk:
            raise EOFError("the other side closed the connection")
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)
