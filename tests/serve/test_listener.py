from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from ray import serve
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from rayreward import HttpClient, RewardFunction
from rayreward.router.config import ListenSpec, ServiceConfig
from rayreward.serve import listener as listener_module
from rayreward.serve.cluster import EmbeddedCluster, free_port
from rayreward.serve.listener import Listener
from rayreward.testing import HANG, ScriptedReward, served
from rayreward.wire import ServiceBody

BODY = {"query": ["qfour"], "prompts": ["q"], "labels": [""]}


@pytest.fixture
async def service() -> AsyncIterator[served]:
    length = RewardFunction(func=lambda response: float(len(response)), isolation="inline")
    async with served({"length": length, "stuck": ScriptedReward(default=HANG)}) as service:
        yield service


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "_JOIN_WITHIN_S", 0.5)
    monkeypatch.setattr(listener_module, "_JOIN_PAUSE_S", 0.01)


def listener_of(service: served, port: int = 0, *, identity: str = "rewards@here", **options: Any) -> Listener:
    service.door.service = ServiceBody(identity)
    return Listener(service.door, ListenSpec(port=port, **options), identity=identity)


async def ask(port: int | None) -> Any:
    async with httpx.AsyncClient() as http:
        return (await http.post(f"http://127.0.0.1:{port}/get_reward", json=BODY)).json()


async def test_the_door_is_open_on_its_own_port(service: served) -> None:
    listener = listener_of(service)
    assert await listener.start()
    assert (await ask(listener.port))["rewards"] == [4.0]
    async with HttpClient(f"http://127.0.0.1:{listener.port}", format="msgpack") as client:
        outputs = await client.ascore([{"response": "four"}] * 300, reward="length")
    assert [output.score for output in outputs] == [4.0] * 300
    await listener.stop()


async def test_a_port_of_somebody_else_is_left_alone_and_said(
    service: served, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with caplog.at_level(logging.WARNING):
            assert not await listener_of(service, other.getsockname()[1]).start()
    assert "somebody else listens there" in caplog.text


async def test_another_service_keeps_its_port(service: served) -> None:
    first = listener_of(service, identity="theirs")
    assert await first.start()
    second = Listener(service.door, ListenSpec(port=first.port or 0), identity="ours")
    assert not await second.start()
    await first.stop()
    await second.stop()


async def test_an_address_that_is_not_this_machines_is_said(service: served, caplog: pytest.LogCaptureFixture) -> None:
    assert not await Listener(service.door, ListenSpec(host="192.0.2.1", port=9), identity="a").start()
    assert "192.0.2.1:9 cannot be used" in caplog.text


async def test_a_new_router_of_the_same_service_takes_over(service: served) -> None:
    old = listener_of(service)
    assert await old.start()
    new = listener_of(service, old.port or 0)
    assert await new.start()
    await old.stop()
    assert (await ask(new.port))["rewards"] == [4.0]
    await new.stop()
    with pytest.raises(httpx.ConnectError):
        await ask(new.port)


async def test_what_is_under_way_is_finished_before_it_stops() -> None:
    arrived, opened = asyncio.Event(), asyncio.Event()

    async def slow(response: str) -> float:
        arrived.set()
        await opened.wait()
        return 1.0

    async with served({"slow": RewardFunction(func=slow, isolation="inline")}) as service:
        listener = listener_of(service)
        await listener.start()
        asking = asyncio.create_task(ask(listener.port))
        await arrived.wait()
        stopping = asyncio.create_task(listener.stop())
        opened.set()
        assert (await asking)["rewards"] == [1.0]
        await stopping


@pytest.mark.parametrize("count", [1, 2])
async def test_a_caller_that_hangs_up_is_not_scored_for(
    service: served, count: int, caplog: pytest.LogCaptureFixture
) -> None:
    listener = listener_of(service)
    await listener.start()
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    body = b'{"samples": [{"response": "a"}]}'
    writer.write(b"POST /stuck HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body) * count)
    async with asyncio.timeout(10):
        for inside_samples in (1, 0):
            while service.router.stats().inside_samples != inside_samples:  # noqa: ASYNC110 - nothing announces it
                await asyncio.sleep(0.001)
            writer.close()
    await listener.stop()
    assert not caplog.records


async def test_an_answer_to_head_has_no_body(service: served) -> None:
    listener = listener_of(service)
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    for method in (b"HEAD", b"GET"):
        writer.write(method + b" /health HTTP/1.1\r\nHost: h\r\n\r\n")
    heads = [await reader.readuntil(b"\r\n\r\n") for _ in range(2)]
    assert heads[0] == heads[1]
    assert heads[0].startswith(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 15\r\n")
    assert await reader.readexactly(15) == b'{"status":"ok"}'
    writer.close()
    await listener.stop()


HEAD = b"POST /length HTTP/1.1\r\nHost: h\r\n"
WHOLE = b'{"samples": [{"response": "four"}]}'


def request(body: bytes, *headers: bytes) -> bytes:
    lines = (b"Content-Length: %d" % len(body), *headers, b"", body)
    return HEAD + b"\r\n".join(lines)


async def answer_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    [length] = [int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length: ")]
    return await reader.readexactly(length)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HEAD, id="half a head"),
        pytest.param(HEAD + b"Content-Length: 1000\r\n\r\n{", id="half a body"),
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
async def test_whoever_does_not_come_to_the_end_of_a_request_is_sent_away(
    service: served, said: bytes, is_first: bool
) -> None:
    if not (said or is_first):
        return  # silence after a request is an idle connection, kept for the next one
    listener = listener_of(service, request_within_s=0.2)
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    if not is_first:
        writer.write(request(WHOLE))
        assert json.loads(await answer_of(reader))["outputs"][0]["score"] == 4.0
    for byte in said:  # slowly, as far as the others are concerned
        writer.write(bytes([byte]))
        await writer.drain()
    async with asyncio.timeout(10):
        told = await reader.read()
    assert told.startswith(b"HTTP/1.1 408 ")
    assert b"raise listen.request_within_s" in told
    assert (await ask(listener.port))["rewards"] == [4.0]
    writer.close()
    await listener.stop()


async def test_a_request_that_is_being_scored_is_not_late(service: served) -> None:
    listener = listener_of(service, request_within_s=0.05)
    await listener.start()
    async with HttpClient(f"http://127.0.0.1:{listener.port}") as client:
        [output] = await client.ascore([{"response": "a"}], reward="stuck", timeout_s=0.5)
    assert output.failure is not None
    assert output.failure.kind == "timeout"
    await listener.stop()


LARGE = json.dumps({"samples": [{"response": "four"}] * 60_000}).encode()
"""Its answer is larger than what the kernel takes for a client that reads nothing."""


@pytest.mark.parametrize(
    "sent",
    [request(LARGE, b"Connection: close"), request(LARGE) + request(WHOLE)],
    ids=["its last request", "one that asks on"],
)
async def test_whoever_takes_no_answer_is_cut_off(service: served, sent: bytes) -> None:
    listener = listener_of(service, request_within_s=0.2)
    await listener.start()
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(lazy, ("127.0.0.1", listener.port))
        await loop.sock_sendall(lazy, sent)
        connections = listener._server.server_state.connections if listener._server else set()
        for is_there in (True, False):
            async with asyncio.timeout(30):
                while bool(connections) is not is_there:  # noqa: ASYNC110 - nothing announces it
                    await asyncio.sleep(0.01)
    await listener.stop()


async def test_pipelined_requests_are_answered_in_order(service: served) -> None:
    listener = listener_of(service)
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    for size in range(1, 41):
        writer.write(request(json.dumps({"samples": [{"response": "x" * size}]}).encode()))
    scores = [json.loads(await answer_of(reader))["outputs"][0]["score"] for _ in range(40)]
    assert scores == [float(size) for size in range(1, 41)]
    writer.close()
    await listener.stop()


@pytest.mark.parametrize("knows_last", [True, False], ids=["this uvicorn", "an earlier one"])
async def test_the_last_answer_of_a_connection_ends_it(
    service: served, monkeypatch: pytest.MonkeyPatch, knows_last: bool
) -> None:
    monkeypatch.setattr(listener_module, "_KNOWS_LAST", knows_last)
    listener = listener_of(service)
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(request(WHOLE) + request(WHOLE, b"Connection: close"))
    async with asyncio.timeout(10):
        for _ in range(2):
            assert json.loads(await answer_of(reader))["outputs"][0]["score"] == 4.0
        assert await reader.read() == b""
    writer.close()
    await listener.stop()


async def test_nothing_of_a_request_waits_for_the_collector(service: served) -> None:
    listener = listener_of(service)
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    gc.collect()
    gc.disable()
    try:
        for _ in range(20):
            writer.write(request(WHOLE))
            await answer_of(reader)
        kept = sum(isinstance(one, RequestResponseCycle) for one in gc.get_objects())
    finally:
        gc.enable()
    assert kept <= 2
    writer.close()
    await listener.stop()


async def test_a_request_behind_one_that_is_being_scored_has_its_time_from_then_on() -> None:
    opened = asyncio.Event()

    async def slow(response: str) -> float:
        await opened.wait()
        return 1.0

    async with served({"slow": RewardFunction(func=slow, isolation="inline")}) as service:
        listener = listener_of(service, request_within_s=0.1)
        await listener.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(WHOLE)
        writer.write(head + WHOLE + head + WHOLE[:5])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await reader.read(1)
        opened.set()
        assert json.loads(await answer_of(reader))["outputs"][0]["score"] == 1.0
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.close()
        await listener.stop()


async def test_a_head_that_does_not_end_is_refused(service: served) -> None:
    listener = listener_of(service)
    await listener.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(HEAD)
    writer.write(b"x: " + b"y" * 1_000_000)
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            told = await reader.readuntil(b"}")
            assert told.startswith(b"HTTP/1.1 431 ")
            assert await reader.read() == b""
    writer.close()
    assert (await ask(listener.port))["rewards"] == [4.0]
    await listener.stop()


@pytest.mark.ray
class TestInTheCluster:
    async def test_the_service_says_its_own_port_and_answers_there(self, cluster: EmbeddedCluster) -> None:
        port = free_port("127.0.0.1")
        rewards = [{"name": "length", "builtin": "length", "args": {"target": 1}}]
        _run({"rewards": rewards, "listen": {"port": port}}, "listening")
        try:
            assert cluster.fast_url("/listening") == f"http://127.0.0.1:{port}"
            body = {"query": ["one"], "prompts": [""], "labels": [""]}
            for url in (f"http://127.0.0.1:{port}", f"{cluster.url}/listening"):
                async with httpx.AsyncClient(timeout=30) as http:
                    assert (await http.post(f"{url}/get_reward", json=body)).json()["rewards"] == [1.0]
                    assert (await http.get(f"{url}/health")).status_code == 200
        finally:
            await asyncio.to_thread(serve.delete, "listening")
        with pytest.raises(httpx.ConnectError):
            await ask(port)

    async def test_a_reward_inside_the_router_needs_no_replica(self, cluster: EmbeddedCluster) -> None:
        reward = {"name": "length", "builtin": "length", "args": {"target": 1}, "in_router": True}
        _run({"rewards": [reward]}, "inner")
        try:
            assert set(serve.status().applications["inner"].deployments) == {"router"}
            async with HttpClient(f"{cluster.url}/inner") as client:
                [output] = await client.ascore([{"response": "one"}], reward="length")
                [info] = await client.arewards()
            assert (output.score, output.version, info.state) == (1.0, info.version, "ready")
        finally:
            await asyncio.to_thread(serve.delete, "inner")

    async def test_a_taken_port_leaves_the_proxy(self, cluster: EmbeddedCluster) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            rewards = [{"name": "length", "builtin": "length", "args": {"target": 1}}]
            _run({"rewards": rewards, "listen": {"port": other.getsockname()[1]}}, "crowded")
            try:
                assert cluster.fast_url("/crowded") is None
            finally:
                await asyncio.to_thread(serve.delete, "crowded")


def _run(config: dict[str, Any], name: str) -> None:
    from rayreward.serve.app import build_app

    serve.run(build_app(ServiceConfig.parse(config, source="tests")), name=name, route_prefix=f"/{name}")
