from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import httpx
import pytest

from rayreward.calling.bodies import read_body
from rayreward.errors import ServiceUnavailableError


class Pieces(httpx.AsyncByteStream):
    """A body that counts how much of it was asked for."""

    def __init__(self, *pieces: bytes, times: int = 1) -> None:
        self.pieces, self.times, self.sent = pieces, times, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.times):
            for piece in self.pieces:
                self.sent += 1
                yield piece


def answer(stream: Pieces, encoding: str = "") -> httpx.Response:
    headers = {"content-encoding": encoding} if encoding else {}
    return httpx.Response(200, headers=headers, stream=stream, request=httpx.Request("POST", "http://judge/v1"))


async def test_a_body_is_read_whole() -> None:
    assert await read_body(answer(Pieces(b"ab", b"c"))) == b"abc"
    assert await read_body(answer(Pieces(gzip.compress(b"abc")), "gzip")) == b"abc"


async def test_one_that_never_ends_is_left_where_it_is_too_long() -> None:
    endless = Pieces(b"x" * 100, times=10**9)
    with pytest.raises(ServiceUnavailableError, match="more than 1000 bytes"):
        await read_body(answer(endless), 1000)
    assert endless.sent == 11


async def test_one_that_unpacks_to_a_thousand_times_its_size_is_refused() -> None:
    with pytest.raises(ServiceUnavailableError, match="more than 1000000 bytes"):
        await read_body(answer(Pieces(gzip.compress(b"0" * 5_000_000)), "gzip"), 1_000_000)


@pytest.mark.parametrize("encoding", ["zstd", "br", "gzip, gzip"])
async def test_what_has_no_bound_is_not_unpacked(encoding: str) -> None:
    bomb = Pieces(b"anything")
    with pytest.raises(ServiceUnavailableError, match="which was not asked for"):
        await read_body(answer(bomb, encoding))
    assert bomb.sent == 0
