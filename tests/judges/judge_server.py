"""An OpenAI-compatible server on a thread of its own whose model is written down: it likes long responses."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rayreward.judges.endpoint import Question
from tests.judges.comparing import prefers, scores_by, shown
from tests.live import listening


def worth(text: str) -> float:
    """What the judge thinks of a response."""
    return min(1.0, len(text) / 10)


class JudgeServer:
    """Pairs by log probabilities, with a liking for the first place; lists by JSON; one response by a line of text.

    Attributes:
        request_count: questions so far.
        is_gone: whether it answers 503.
    """

    def __init__(self) -> None:
        self.request_count, self.is_gone, self.url = 0, False, ""
        self._app = Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])

    async def _complete(self, request: Request) -> Response:
        body: dict[str, Any] = await request.json()
        self.request_count += 1
        if self.is_gone:
            return JSONResponse({"error": {"message": "overloaded"}}, status_code=503)
        question = Question(body["messages"])
        choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
        if body.get("logprobs"):
            reply = prefers(worth, bias=1.5)(question)
            top = [{"token": token, "logprob": logprob} for token, logprob in reply.logprobs.items()]
            choice["message"] = {"role": "assistant", "content": reply.text}
            choice["logprobs"] = {"content": [{**top[0], "top_logprobs": top}]}
        elif "response" in (texts := shown(question)):
            score = 1 + round(9 * worth(texts["response"]))
            choice["message"] = {"role": "assistant", "content": f"It is what it is.\nScore: {score}"}
        else:
            choice["message"] = {"role": "assistant", "content": scores_by(worth)(question)}
        usage = {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}
        return JSONResponse({"id": "1", "object": "chat.completion", "choices": [choice], "usage": usage})


@contextmanager
def judge_server() -> Iterator[JudgeServer]:
    """The server, for as long as the ``with`` lasts."""
    server, ready, stop = JudgeServer(), threading.Event(), threading.Event()

    async def serve() -> None:
        async with listening(server._app) as url:
            server.url = f"{url}/v1"
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        stop.set()
        thread.join()
