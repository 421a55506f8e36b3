"""A peer: plain ASGI under uvicorn that reads OpenRLHF's request and answers a constant. ``python … PORT``."""

from __future__ import annotations

import json
import sys
from typing import Any

import uvicorn


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    rewards = [1.0 for _ in json.loads(body)["query"]] if body else []
    answer = json.dumps({"rewards": rewards, "scores": rewards, "extra_logs": {}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


if __name__ == "__main__":
    uvicorn.run(
        app, host="127.0.0.1", port=int(sys.argv[1]), interface="asgi3", lifespan="off", log_level="warning",
        access_log=False, backlog=4096,
    )  # fmt: skip
