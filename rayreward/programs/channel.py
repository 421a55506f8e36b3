"""Values between a judge's process and ours: length-prefixed pickles over a socket pair.

What arrives: plain values. What leaves: the same on the other side, in order. Both ends are this package's own code;
what a program said travels inside as plain values, which the sandbox's codec has made.
"""

from __future__ import annotations

import pickle
import socket
import struct
import time
from typing import Any

_HEADER = struct.Struct("!Q")


class ChannelClosedError(ConnectionError):
    """The other side is gone."""


def send(connection: socket.socket, value: Any) -> None:
    """Send a value.

    Raises:
        ChannelClosedError: nobody reads it.
    """
    payload = pickle.dumps(value, protocol=5)
    try:
        connection.sendall(_HEADER.pack(len(payload)) + payload)
    except TimeoutError:
        raise
    except OSError as error:
        raise ChannelClosedError(str(error)) from error


def receive(connection: socket.socket, *, within_s: float | None = None) -> Any:
    """The next value.

    Raises:
        TimeoutError: it did not come within `within_s`.
        ChannelClosedError: the other side is gone.
    """
    until = None if within_s is None else time.monotonic() + within_s
    (size,) = _HEADER.unpack(_read_exactly(connection, _HEADER.size, until))
    return pickle.loads(_read_exactly(connection, size, until))


def _read_exactly(connection: socket.socket, size: int, until: float | None) -> bytes:
    chunks, missing = [], size
    while missing:
        if until is not None:
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            connection.settimeout(left_s)
        try:
            chunk = connection.recv(min(missing, 1 << 20))
        except TimeoutError:
            raise
        except OSError as error:
            raise ChannelClosedError(str(error)) from error
        if not chunk:
            raise ChannelClosedError("it closed the connection")
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks)
