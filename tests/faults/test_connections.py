"""Clients that are slow, silent, half gone or many, on the router's own port, while others are served."""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from rayreward import HttpClient
from tests.faults.load import Load
from tests.faults.service import REQUEST_WITHIN_S, Service
from tests.faults.test_overload import patient_lane

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.openrlhf, pytest.mark.filterwarnings("ignore")]

HEAD = b"POST /v1/rewards/%b HTTP/1.1\r\nHost: h\r\n"
OWN_PORT = ("http own port", "msgpack own port", "openrlhf own port")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def request(reward: str, number: int) -> bytes:
    body = json.dumps({"samples": [{"response": str(number)}]}).encode()
    return HEAD % reward.encode() + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


async def score_of(reader: asyncio.StreamReader) -> float:
    head = await reader.readuntil(b"\r\n\r\n")
    [length] = [int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")]
    score: float = json.loads(await reader.readexactly(length))["outputs"][0]["score"]
    return score


@asynccontextmanager
async def connections(service: Service, count: int) -> AsyncIterator[list[Streams]]:
    """Open ones."""
    opened = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(count)]
    try:
        yield opened
    finally:
        for _, writer in opened:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for _, writer in opened), return_exceptions=True)


async def drip(writer: asyncio.StreamWriter) -> None:
    """A head that never ends, a few bytes at a time."""
    writer.write(HEAD % b"steady")
    while not writer.is_closing():
        writer.write(b"X-More: 1\r\n")
        await asyncio.sleep(0.2)


async def test_slow_lorises_are_sent_away_and_hold_up_nobody(service: Service) -> None:
    async with connections(service, 100) as opened, Load(service.callers("steady", transports=OWN_PORT)) as load:
        dripping = [asyncio.create_task(drip(writer)) for _, writer in opened]
        async with asyncio.timeout(10 * REQUEST_WITHIN_S):
            told = await asyncio.gather(*(reader.read() for reader, _ in opened), return_exceptions=True)
        for task in dripping:
            task.cancel()
        await asyncio.gather(*dripping, return_exceptions=True)
        await load.goes_on(40)
    load.ledger.check()
    # Where the last drops met a closed socket, the kernel's reset has overtaken the answer.
    assert all(isinstance(one, ConnectionError) or one.startswith(b"HTTP/1.1 408") for one in told)


async def test_a_client_that_closes_its_half_counts_as_gone(service: Service) -> None:
    async with connections(service, 20) as opened, Load(service.callers("steady", transports=OWN_PORT)) as load:
        for number, (_, writer) in enumerate(opened, start=1):
            writer.write(request("patient", number))
            writer.write_eof()
        async with asyncio.timeout(60):
            told = await asyncio.gather(*(reader.read() for reader, _ in opened))
        await load.goes_on(40)
    load.ledger.check()
    assert told == [b""] * 20
    async with asyncio.timeout(60):
        while (await patient_lane()).in_flight_count:
            continue


async def test_2000_idle_connections_hold_up_nobody(service: Service) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 3000:
        pytest.skip(f"this process may open {soft} files only")
    async with connections(service, 2000) as opened, Load(service.callers("steady", transports=OWN_PORT)) as load:
        for _, writer in opened:
            writer.write(request("steady", 5))
        assert [await score_of(reader) for reader, _ in opened] == [5.0] * 2000
        await load.goes_on(100)  # while they are idle
    load.ledger.check()


async def test_pipelined_requests_are_answered_in_order(service: Service) -> None:
    async with connections(service, 4) as opened:
        for _, writer in opened:
            writer.writelines(request("steady", number) for number in range(1, 65))
        for reader, _ in opened:
            assert [await score_of(reader) for _ in range(64)] == [float(number) for number in range(1, 65)]


async def test_after_all_that_the_router_still_answers(service: Service) -> None:
    async with HttpClient(service.fast_url) as client:
        outputs = await client.ascore([{"response": str(number)} for number in range(1, 1001)], reward="steady")
    assert [output.score for output in outputs] == [float(number) for number in range(1, 1001)]
