"""Real HTTP servers for tests, on free ports."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import uvicorn

from rayreward.serve.cluster import free_port
from rayreward.testing import served


@contextmanager
def served_by_command(target: str, *, cwd: Path, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """``rayreward serve`` as a user types it, until Ctrl-C; gives its port."""
    port = free_port("127.0.0.1")
    command = [str(Path(sys.executable).with_name("rayreward")), "serve", target, "--port", str(port)]
    with subprocess.Popen(
        command, cwd=cwd, env={**os.environ, **(environment or {})}, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "Serving at" in line:
                break
        assert process.poll() is None, "".join(said)
        # Nobody reads on: a full pipe would stop the server.
        threading.Thread(target=process.stderr.read, daemon=True).start()
        try:
            yield port
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == 0


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[str]:
    """An ASGI application on a port of this machine, served by the running loop; gives its URL."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())  # not serve(), which takes the signals of the test's process
    while not server.started:  # noqa: ASYNC110 - uvicorn announces its start by this flag only
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@contextmanager
def live_service(rewards: dict[str, Any], **options: Any) -> Iterator[str]:
    """A service of these rewards on a thread of its own, for sync code; gives its URL."""
    ready, stop = threading.Event(), threading.Event()
    urls: list[str] = []

    async def serve() -> None:
        async with served(rewards, **options) as service, listening(service.door) as url:
            urls.append(url)
            ready.set()
            await asyncio.to_thread(stop.wait)

    def run() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield urls[0]
    finally:
        stop.set()
        thread.join()
