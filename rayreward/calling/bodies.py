"""An HTTP answer's body, read no further than it may be long.

What arrives: an answer whose body has not been read. What leaves: its bytes, or an error. A server that answers with
a hundred megabytes, or with a few bytes that unpack to as much, costs what is read of it and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rayreward.errors import ServiceUnavailableError

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 4 * 2**20
"""A verdict or a score takes thousands of bytes, with log probabilities tens of thousands."""

ASKED_ENCODING = {"Accept-Encoding": "identity"}
"""For requests whose answers are small: unpacking one costs more than it saves."""

_UNPACKED = frozenset({"", "identity", "gzip", "deflate"})
"""Encodings whose pieces unpack to a thousand times their size at most: some 64 MB of one read. Others, and several on
top of each other, have no such bound."""


async def read_body(answer: httpx.Response, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """The body of a streamed answer.

    Raises:
        ServiceUnavailableError: it is longer, or packed as nobody asked for; and what httpx raises.
    """
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding not in _UNPACKED:
        raise ServiceUnavailableError(f"{answer.url} answers packed as {encoding[:40]!r}, which was not asked for")
    content = bytearray()
    async for part in answer.aiter_bytes():
        content += part
        if len(content) > max_bytes:
            raise ServiceUnavailableError(f"{answer.url} answers more than {max_bytes} bytes")
    return bytes(content)
