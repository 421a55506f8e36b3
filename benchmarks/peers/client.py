"""The load: single-sample requests of OpenRLHF's shape, a new connection each, from a process of its own.

``python client.py HOST PORT PATH CONCURRENCY COUNT [chat]`` prints JSON: requests a second, latencies, refusals.
``chat`` sends the same texts as messages, which is what reward-kit's server takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import time

NUMBER = b"00000000"
"""Another one in every request, at the response's end: no two are the same sample."""

PROMPT, RESPONSE = "p" * 300, "r" * 592 + NUMBER.decode()
BODIES = {
    "openrlhf": {"query": [PROMPT + RESPONSE], "prompts": [PROMPT], "labels": ["1"]},
    "chat": {
        "messages": [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": RESPONSE}],
        "ground_truth": "1",
    },
}


class Call(asyncio.Protocol):
    """One request: connected, written, read to the end of the connection."""

    def __init__(self, request: bytes) -> None:
        self.request, self.answer = request, b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask at once."""
        transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Collect the answer."""
        self.answer += data

    def connection_lost(self, error: Exception | None) -> None:
        """The server closes when it has answered."""
        if not self.done.done():
            self.done.set_result(None)


async def load(host: str, port: int, path: str, concurrency: int, count: int, *, shape: str) -> dict[str, float]:
    encoded = json.dumps(BODIES[shape]).encode()
    loop = asyncio.get_running_loop()
    request = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(encoded)}\r\nConnection: close\r\n\r\n"
    ).encode()
    before, _, after = encoded.partition(NUMBER)
    first = time.time_ns() % 50_000_000  # nor does a later round repeat an earlier one
    latencies: list[float] = []
    failed, left = 0, count

    async def caller() -> None:
        nonlocal failed, left
        while left > 0:
            left -= 1
            body = before + b"%08d" % (first + left) + after
            started_s = time.perf_counter()
            try:
                _, call = await loop.create_connection(lambda body=body: Call(request + body), host, port)
                await call.done
            except OSError:
                failed += 1
                continue
            failed += not call.answer.startswith(b"HTTP/1.1 200")
            latencies.append(time.perf_counter() - started_s)

    started_s = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(concurrency)))
    wall_s = time.perf_counter() - started_s
    latencies.sort()
    return {
        "requests_per_s": count / wall_s,
        "p50_ms": statistics.median(latencies) * 1e3,
        "p99_ms": latencies[int(0.99 * (len(latencies) - 1))] * 1e3,
        "failed": failed,
        "wall_s": wall_s,
    }


def main() -> None:
    host, port, path, concurrency, count, *rest = sys.argv[1:]
    shape = rest[0] if rest else "openrlhf"
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    print(json.dumps(asyncio.run(load(host, int(port), path, int(concurrency), int(count), shape=shape))))


if __name__ == "__main__":
    main()
