"""The keeper as a process of its own, and routers that come and go around it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import httpx
import psutil
import pytest

from rayreward import RewardFunction
from rayreward.router.config import ListenSpec, ServiceConfig
from rayreward.serve import kept_port as kept_port_module
from rayreward.serve import listener as listener_module
from rayreward.serve.app import build_app
from rayreward.serve.cluster import EmbeddedCluster, free_port
from rayreward.serve.kept_port import KeptPort
from rayreward.serve.listener import Listener
from rayreward.serve.port_keeper import TITLE
from rayreward.testing import served
from rayreward.wire import ServiceBody
from tests import victims
from tests.serve.test_listener import WHOLE, answer_of, ask, request

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors travel, and processes are watched, there")

NEVER_S = 3600.0

ROUTER = """
import asyncio, socket, sys
from rayreward.serve.kept_port import KeptPort

async def main(port, parent_pid, lost_s):
    bound = socket.create_server(("127.0.0.1", port), backlog=100)
    await KeptPort("ours@here", "127.0.0.1", parent_pid=parent_pid, lost_s=lost_s).keep(bound)
    print("kept", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
"""


@pytest.fixture
def node() -> Iterator[subprocess.Popen[bytes]]:
    """Stands for Ray's own process of a node."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture
async def service() -> AsyncIterator[served]:
    length = RewardFunction(func=lambda response: float(len(response)), isolation="inline")
    async with served({"length": length}) as service:
        yield service


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "_JOIN_WITHIN_S", 1.0)
    monkeypatch.setattr(listener_module, "_KEEPER_WITHIN_S", 0.2)
    monkeypatch.setattr(listener_module, "_JOIN_PAUSE_S", 0.01)
    monkeypatch.setattr(listener_module, "_FIRST_REQUEST_S", 0.01)


@pytest.fixture
def router(service: served, node: subprocess.Popen[bytes]) -> Callable[..., Listener]:
    """Makes routers of one service on one node, not yet listening."""

    def make(
        port: int, *, identity: str = "ours@here", host: str = "127.0.0.1", left_s: float = NEVER_S,
        lost_s: float = NEVER_S,
    ) -> Listener:  # fmt: skip
        service.door.service = ServiceBody(identity)
        kept = KeptPort(identity, host, parent_pid=node.pid, left_s=left_s, lost_s=lost_s)
        return Listener(service.door, ListenSpec(host=host, port=port), identity=identity, kept=kept)

    return make


@pytest.fixture
def port() -> int:
    return free_port("127.0.0.1")


def keeper_of(port: int, host: str = "127.0.0.1") -> psutil.Process:
    [found] = keepers_of(port, host)
    return found


def keepers_of(port: int, host: str = "127.0.0.1") -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.cmdline()[4:6] == [TITLE, f"{host}:{port}"]:
                found.append(process)
    return found


async def killed_router(port: int, node: subprocess.Popen[bytes], *, lost_s: float) -> psutil.Process:
    """Start a router that is then killed; gives the keeper."""
    words = (str(port), str(node.pid), str(lost_s))
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", ROUTER, *words, stdout=subprocess.PIPE)
    assert killed.stdout is not None
    assert await killed.stdout.readline() == b"kept\n"
    keeper = keeper_of(port)
    killed.kill()
    await killed.wait()
    return keeper


@asynccontextmanager
async def waiting(port: int, count: int) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Connections that have been made, and have asked."""
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    for _, writer in opened:
        writer.write(request(WHOLE))
    yield [reader for reader, _ in opened]
    for _, writer in opened:
        writer.close()


async def ends(process: psutil.Process) -> None:
    await asyncio.to_thread(process.wait, 30)


async def refuses(port: int) -> None:
    """Once its keeper has ended."""
    for keeper in keepers_of(port):
        await ends(keeper)
    with pytest.raises(httpx.ConnectError):
        await ask(port)


async def test_the_keeper_is_a_small_process_of_nobody_that_says_what_it_keeps(
    router: Callable[..., Listener], port: int
) -> None:
    listener = router(port)
    assert await listener.start()
    keeper = keeper_of(port)
    assert keeper not in psutil.Process().children(recursive=True)
    assert os.getsid(keeper.pid) not in (keeper.pid, os.getsid(0))
    assert keeper.memory_info().rss < 20_000_000
    await listener.stop()
    await ends(keeper)


async def test_connections_wait_for_the_router_that_comes(router: Callable[..., Listener], port: int) -> None:
    first = router(port)
    assert await first.start()
    await first.stop(is_followed=True)
    async with waiting(port, 50) as readers:
        second = router(port)
        assert await second.start()
        assert [b'"score":4.0' in await answer_of(reader) for reader in readers] == [True] * 50
    await second.stop()
    await refuses(port)


async def test_connections_wait_when_the_router_was_killed(
    router: Callable[..., Listener], node: subprocess.Popen[bytes], port: int
) -> None:
    await killed_router(port, node, lost_s=NEVER_S)
    async with waiting(port, 50) as readers:
        next_one = router(port)
        assert await next_one.start()
        assert [b'"score":4.0' in await answer_of(reader) for reader in readers] == [True] * 50
    await next_one.stop()
    await refuses(port)


async def test_two_routers_share_one_queue(router: Callable[..., Listener], port: int) -> None:
    old, new = router(port), router(port)
    assert await old.start()
    assert await new.start()
    keeper = keeper_of(port)
    await old.stop(is_followed=True)
    for _ in range(20):
        assert (await ask(port))["rewards"] == [4.0]
    await new.stop()
    await ends(keeper)


async def test_the_port_is_free_at_once_when_no_router_follows(router: Callable[..., Listener], port: int) -> None:
    listener = router(port)
    assert await listener.start()
    keeper = keeper_of(port)
    await listener.stop()
    await ends(keeper)
    await refuses(port)


async def test_the_port_is_free_when_the_router_that_should_follow_does_not(
    router: Callable[..., Listener], port: int
) -> None:
    listener = router(port, left_s=0.1)
    assert await listener.start()
    keeper = keeper_of(port)
    await listener.stop(is_followed=True)
    await ends(keeper)
    await refuses(port)


async def test_the_port_is_free_when_no_router_follows_one_that_was_killed(
    node: subprocess.Popen[bytes], port: int
) -> None:
    await ends(await killed_router(port, node, lost_s=0.5))
    await refuses(port)


async def test_the_keeper_ends_with_its_node(
    router: Callable[..., Listener], node: subprocess.Popen[bytes], port: int
) -> None:
    listener = router(port)
    assert await listener.start()
    keeper = keeper_of(port)
    node.kill()
    await ends(keeper)
    assert (await ask(port))["rewards"] == [4.0]
    await listener.stop()
    await refuses(port)


async def test_a_killed_keeper_disturbs_nobody_and_is_replaced(
    router: Callable[..., Listener], port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_port_module, "_SHORT_LIFE_S", 0.0)
    listener = router(port)
    assert await listener.start()
    killed = keeper_of(port)
    killed.kill()
    assert (await ask(port))["rewards"] == [4.0]
    await ends(killed)
    async with asyncio.timeout(30):
        while not keepers_of(port):  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0.01)
    await listener.stop(is_followed=True)
    async with waiting(port, 1) as [reader]:
        following = router(port)
        assert await following.start()
        assert b'"score":4.0' in await answer_of(reader)
    await following.stop()


async def test_without_its_keeper_the_port_is_shared_as_ever(
    router: Callable[..., Listener], port: int, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = router(port), router(port)
    assert await old.start()
    with caplog.at_level(logging.WARNING):
        killed = keeper_of(port)
        killed.kill()  # so soon that it is not replaced: something ends them
        await ends(killed)
        assert await new.start()
    assert "the router goes on alone" in caplog.text
    await old.stop(is_followed=True)
    assert (await ask(port))["rewards"] == [4.0]
    await new.stop()
    await refuses(port)


async def test_a_keeper_that_cannot_be_started_is_said_and_missed_by_nobody(
    router: Callable[..., Listener], port: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    listener = router(port)
    with caplog.at_level(logging.WARNING):
        assert await listener.start()
    assert f"no process keeps port {port}" in caplog.text
    assert (await ask(port))["rewards"] == [4.0]
    await listener.stop()
    await refuses(port)


async def test_a_kept_port_is_not_given_to_another_service(router: Callable[..., Listener], port: int) -> None:
    ours = router(port)
    assert await ours.start()
    await ours.stop(is_followed=True)
    assert not await router(port, identity="theirs@here").start()
    again = router(port)
    assert await again.start()
    await again.stop()


async def test_a_service_that_is_to_listen_elsewhere_gets_its_port(router: Callable[..., Listener], port: int) -> None:
    here = router(port)
    assert await here.start()
    await here.stop(is_followed=True)
    everywhere = router(port, host="0.0.0.0")
    assert await everywhere.start()
    assert keeper_of(port, "0.0.0.0")
    assert (await ask(port))["rewards"] == [4.0]
    await everywhere.stop()


STRANGER = """
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.connect(chr(0) + sys.argv[1])
print(peer.recvmsg(99, 99)[:2])
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else for once")
async def test_another_user_is_sent_away(router: Callable[..., Listener], port: int) -> None:
    listener = router(port)
    assert await listener.start()
    name = keeper_of(port).cmdline()[7]
    stranger = await asyncio.create_subprocess_exec(
        "/usr/bin/env", "python3", "-c", STRANGER, name, user=65534, stdout=subprocess.PIPE
    )
    said, _ = await stranger.communicate()
    assert said == b"(b'', [])\n"
    await listener.stop()


@pytest.mark.ray
async def test_a_service_keeps_its_port_until_its_application_is_deleted(cluster: EmbeddedCluster, port: int) -> None:
    from ray import serve

    rewards = [{"name": "length", "builtin": "length", "args": {"target": 1}}]
    config = ServiceConfig.parse({"rewards": rewards, "listen": {"port": port}}, source="tests")
    await asyncio.to_thread(serve.run, build_app(config), name="kept", route_prefix="/kept")
    keeper = keeper_of(port)
    assert psutil.Process(int(keeper.cmdline()[-1])).name() == "raylet"
    [router] = victims.replicas("router", app="kept")
    router.kill()
    async with waiting(port, 20) as readers:
        assert [b'"outputs"' in await answer_of(reader) for reader in readers] == [True] * 20
    assert keeper_of(port) == keeper
    await asyncio.to_thread(serve.delete, "kept")
    await refuses(port)
