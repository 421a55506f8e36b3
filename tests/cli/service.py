"""A service that speaks the native API over real HTTP, without Ray."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from rayreward.errors import InvalidInputError
from rayreward.router.prescale import ReplicaRange, Wishes
from rayreward.sample import Sample
from rayreward.types import RewardInfo, RewardOutput
from rayreward.wire import (
    ErrorBody,
    decode_prescale_request,
    decode_sample,
    decode_score_request,
    encode,
    encode_answer,
)


class LengthService:
    """Serves one reward, `length`: how many characters a response has.

    Attributes:
        token: that callers must send; none where it is None.
        version: that outputs are stamped with.
        scores_requests: how many requests are scored before the reward is gone; all where it is -1.
        runs: that callers named, one a request.
        priorities: that callers asked for.
    """

    def __init__(self) -> None:
        self.token: str | None = None
        self.version = "v1"
        self.scores_requests = -1
        self.is_ready = True
        self.runs: list[str | None] = []
        self.priorities: list[str] = []
        self.url = ""

    def answer(self, method: str, path: str, authorization: str, body: bytes) -> tuple[int, bytes]:
        if path == "/ready":
            return (200 if self.is_ready else 503), b"{}"
        if self.token is not None and authorization != f"Bearer {self.token}":
            return 401, b'{"error": "AuthenticationError", "message": "the token is missing or wrong"}'
        if method == "GET":
            return 200, encode({"rewards": [RewardInfo("length", "ready", self.version)]})
        if len(self.runs) == self.scores_requests:
            return 404, b'{"error": "UnknownRewardError", "message": "it was taken down"}'
        if path.endswith("/prescale"):
            return self._prescale(body)
        request = decode_score_request(body)
        self.runs.append(request.run)
        self.priorities.append(request.priority)
        return 200, encode_answer("length", [self._score(item) for item in request.samples])

    def _prescale(self, body: bytes) -> tuple[int, bytes]:
        wishes = Wishes(ReplicaRange(1, 4, fixed_by=None), now=lambda: 0.0, wall=lambda: 0.0)
        asked = decode_prescale_request(body)
        try:
            return 200, encode(wishes.ask("length", asked.replicas, for_s=asked.for_s))
        except InvalidInputError as error:
            return 400, encode(ErrorBody("InvalidInputError", str(error)))

    def _score(self, item: object) -> RewardOutput:
        sample = decode_sample(item)
        if not isinstance(sample, Sample):
            return sample
        return RewardOutput(len(sample.response), version=self.version)


@contextmanager
def length_service() -> Iterator[LengthService]:
    service = LengthService()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, answer = service.answer(self.command, self.path, self.headers.get("Authorization", ""), body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def rows(count: int) -> str:
    """A data file of `count` samples, each one character longer than the one before."""
    return "".join(json.dumps({"id": f"s{n}", "prompt": "?", "response": "x" * n}) + "\n" for n in range(count))
