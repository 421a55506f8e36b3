from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from ray import serve

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
    monkeypatch.setattr(listener_module, "_DEPARTURE_CHECK_S", 0.01)


def listener_of(service: served, port: int = 0, *, identity: str = "rewards@here") -> Listener:
    service.door.service = ServiceBody(identity)
    return Listener(service.door, ListenSpec(port=port), identity=identity)


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


async def test_a_caller_that_hangs_up_is_not_scored_for(service: served) -> None:
    listener = listener_of(service)
    await listener.start()
    _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    body = b'{"samples": [{"response": "a"}]}'
    writer.write(b"POST /stuck HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    while not listener._app._answering:  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0)
    writer.close()
    async with asyncio.timeout(10):
        while listener._app._answering:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
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
