"""Raw ASGI: what one request asks, and the answer to it, without a framework between.

What arrives: an ASGI scope and its callables. What leaves: a body, bounded; an answer, sent in two messages, or in one
where the server says that it takes it whole. A framework's request and response objects cost more than the rest of the
router's work on a single sample.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from rayreward.errors import RequestTooLargeError

WHOLE_ANSWER = "rayreward.whole_answer"
"""ASGI extension of a server that sends an answer in one piece: its `SendWhole`. What uvicorn does with the two
messages of any application, looking at each header, costs as much as to read a request of one sample."""

KEPT_CHARS = 1_000
"""The longest path or query of which something is remembered: strangers may send many, and long ones."""

SendWhole = Callable[[int, bytes, bytes], Awaitable[None]]
"""Sends a status, the lines of the head, each ended, and a body."""


class ClientGoneError(ConnectionError):
    """The caller hung up while it sent; nobody reads an answer."""


class Request:
    """One HTTP request.

    Attributes:
        method: as sent; upper case.
        path: without the prefix that the service is mounted at, and without a slash at its end.
    """

    __slots__ = ("_receive", "_scope", "method", "path")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._scope, self._receive = scope, receive
        self.method: str = scope["method"]
        self.path: str = scope["path"].removeprefix(scope.get("root_path", "")).rstrip("/") or "/"

    def header(self, name: bytes) -> str:
        """The first header of this name, which is written in lower case; "" where there is none."""
        for key, value in self._scope["headers"]:
            if key == name:
                return str(value, "latin-1")
        return ""

    @property
    def query_string(self) -> bytes:
        """The query as sent; see `parameters_of`."""
        text: bytes = self._scope.get("query_string", b"")
        return text

    async def body(self, limit_bytes: int) -> bytes:
        """The whole body.

        Raises:
            RequestTooLargeError: as soon as it is known to be larger.
            ClientGoneError: it does not come to its end.
        """
        declared = self.header(b"content-length")
        if declared.isdecimal() and int(declared) > limit_bytes:
            raise RequestTooLargeError(_too_large(int(declared), limit_bytes))
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError("the caller hung up while it sent")
            chunk: bytes = message.get("body", b"")
            size += len(chunk)
            if size > limit_bytes:
                raise RequestTooLargeError(_too_large(size, limit_bytes))
            if not chunks and not message.get("more_body", False):
                return chunk
            chunks.append(chunk)
            if not message.get("more_body", False):
                return b"".join(chunks)


def parameters_of(query_string: bytes) -> dict[str, str]:
    """A query's parameters by name."""
    return dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))


def _too_large(found_bytes: int, limit_bytes: int) -> str:
    return (
        f"a request body may hold {limit_bytes} bytes, found {found_bytes}; "
        f"send fewer samples a request, or raise limits.max_request_bytes"
    )


class Answer(NamedTuple):
    """What is sent back."""

    body: bytes
    status: int = 200
    media_type: bytes = b"application/json"
    headers: Mapping[bytes, bytes] = MappingProxyType({})

    async def send(self, scope: Scope, send: Send) -> None:
        """At once where the server can, else start and body."""
        extensions = scope.get("extensions")
        if extensions is not None and WHOLE_ANSWER in extensions:
            send_whole: SendWhole = extensions[WHOLE_ANSWER]
            head = b"content-type: %b\r\ncontent-length: %d\r\n" % (self.media_type, len(self.body))
            if self.headers:
                head += b"".join([b"%b: %b\r\n" % header for header in self.headers.items()])
            return await send_whole(self.status, head, self.body)
        headers = {b"content-type": self.media_type, b"content-length": b"%d" % len(self.body), **self.headers}
        await send({"type": "http.response.start", "status": self.status, "headers": list(headers.items())})
        await send({"type": "http.response.body", "body": self.body})
