from __future__ import annotations

import asyncio
import pickle
import threading

from rayreward.judges.connections import Connections, LoopConnections


async def test_a_loop_has_one_pool_until_it_closes_it() -> None:
    connections = Connections("http://judge", 2)
    first = await connections.here()
    assert await connections.here() is first
    await connections.aclose()
    assert first.http.is_closed
    assert len(connections) == 0
    await connections.aclose()


def test_a_loop_that_ends_closes_its_own() -> None:
    connections = Connections("http://judge", 2)
    ended = asyncio.run(connections.here())
    assert ended.http.is_closed


def test_loops_of_many_threads_open_theirs_at_once() -> None:
    connections, together = Connections("http://judge", 2), threading.Barrier(8)
    opened: list[LoopConnections] = []

    async def open_many() -> None:
        opened.append(await connections.here())

    def ask() -> None:
        together.wait()
        for _ in range(20):
            asyncio.run(open_many())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 160
    assert all(one.http.is_closed for one in opened)


async def test_pools_do_not_travel() -> None:
    connections = Connections("http://judge", 3)
    await connections.here()
    copied = pickle.loads(pickle.dumps(connections))
    assert len(copied) == 0
    await copied.here()
    await copied.aclose()
    await connections.aclose()
