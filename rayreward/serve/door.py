"""The HTTP door: an ASGI application over a `Router`, without Ray.

What arrives: requests. What leaves: answers whose body is JSON, errors included: what was asked, what was found, what
to do. Samples that fail are data in a 200; a status of 400 and above means that nothing was scored.

Routes: ``POST /get_reward`` and ``/<reward>/get_reward`` (OpenRLHF), ``POST /v1/rewards/<reward>``, ``/v1/rewards``
and ``/<reward>`` (native), ``GET /v1/rewards``, ``/v1/runs/<run>``, ``/health``, ``/ready``, ``/openapi.json``.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from rayreward.errors import (
    AuthenticationError,
    BackpressureError,
    InvalidInputError,
    RayRewardError,
    RequestTooLargeError,
    UnknownRewardError,
)
from rayreward.router.config import Limits
from rayreward.router.openrlhf import OpenRLHFRoute
from rayreward.router.router import Router
from rayreward.serve.openapi import openapi_document
from rayreward.trainers.openrlhf import decode_request
from rayreward.trainers.openrlhf import encode_answer as encode_openrlhf_answer
from rayreward.types import RewardInfo, RewardOutput, Sample
from rayreward.wire import ErrorBody, ScoreBody, decode_sample, decode_score_request, encode, encode_answer

_log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

_STATUS: tuple[tuple[type[RayRewardError], int], ...] = (
    (RequestTooLargeError, 413),
    (InvalidInputError, 400),
    (UnknownRewardError, 404),
    (AuthenticationError, 401),
    (BackpressureError, 429),
    (RayRewardError, 503),
)
_OPEN_PATHS = frozenset({"/health", "/ready", "/openapi.json"})
"""Asked by load balancers, which hold no token; they tell nothing of samples."""


class Door:
    """The routes of one service.

    Args:
        router: scores by name.
        openrlhf: OpenRLHF's requests through that router.
        limits: what a request may hold.
        token_sha256: of the bearer token that callers must send; anybody may call without it.
    """

    def __init__(
        self, router: Router, openrlhf: OpenRLHFRoute, limits: Limits, *, token_sha256: str | None = None
    ) -> None:
        self._router, self._openrlhf, self._limits, self._token_sha256 = router, openrlhf, limits, token_sha256
        self._routes = Starlette(
            routes=[
                Route("/health", self._guarded(self._health), methods=["GET"]),
                Route("/ready", self._guarded(self._ready), methods=["GET"]),
                Route("/openapi.json", self._guarded(self._openapi), methods=["GET"]),
                Route("/v1/rewards", self._guarded(self._list), methods=["GET"]),
                Route("/v1/rewards", self._guarded(self._native), methods=["POST"]),
                Route("/v1/rewards/{reward}", self._guarded(self._describe), methods=["GET"]),
                Route("/v1/rewards/{reward}", self._guarded(self._native), methods=["POST"]),
                Route("/v1/runs/{run}", self._guarded(self._run), methods=["GET"]),
                Route("/get_reward", self._guarded(self._get_reward), methods=["POST"]),
                Route("/{reward}/get_reward", self._guarded(self._get_reward), methods=["POST"]),
                Route("/", self._guarded(self._native), methods=["POST"]),
                Route("/{reward}", self._guarded(self._native), methods=["POST"]),
            ],
            # Redirects would lose the bodies of clients that do not follow them.
            exception_handlers={404: self._no_route, 405: self._wrong_method},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application; a path with a slash at its end, or none at all, is the same path."""
        if scope["type"] == "http":
            root = scope.get("root_path", "")
            inner = scope["path"].removeprefix(root).rstrip("/") or "/"
            scope = {**scope, "path": root + inner}
        await self._routes(scope, receive, send)

    def _guarded(self, handler: Handler) -> Handler:
        """The handler behind the token check, with errors turned into answers."""

        async def guarded(request: Request) -> Response:
            try:
                self._check_token(request)
                return await handler(request)
            except RayRewardError as error:
                return _error(error)
            except ClientDisconnect:
                return Response(status_code=499)  # nobody reads it; the status is for the access log
            except Exception:  # noqa: BLE001 - the boundary: a request is answered in JSON whatever happens
                _log.exception("%s %s failed; this is a bug in rayreward", request.method, request.url.path)
                message = "the service failed at this request; that is a bug in rayreward, and its log says where"
                return _json(encode(ErrorBody("InternalError", message)), status_code=500)

        return guarded

    def _check_token(self, request: Request) -> None:
        if (
            self._token_sha256 is None
            or request.scope["path"].removeprefix(request.scope.get("root_path", "")) in _OPEN_PATHS
        ):
            return
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = hashlib.sha256(token.encode()).hexdigest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._token_sha256):
            raise AuthenticationError(
                "this service wants 'Authorization: Bearer <token>'; the token is missing or wrong"
            )

    async def _native(self, request: Request) -> Response:
        name, _ = self._router.lane(request.path_params.get("reward"))
        body = decode_score_request(await self._body(request))
        self._check_count(len(body.samples))
        outputs = await self._score(name, body)
        return _json(encode_answer(name, outputs))

    async def _score(self, name: str, body: ScoreBody) -> list[RewardOutput]:
        """Malformed samples fail alone; the others are scored."""
        items = [decode_sample(item) for item in body.samples]
        samples = [item for item in items if isinstance(item, Sample)]
        timeout_s = min(body.timeout_s or self._limits.request_timeout_s, self._limits.request_timeout_s)
        scored = await self._router.score(name, samples, timeout_s=timeout_s)
        self._router.record(name, samples, scored, run=body.run, step=body.step)
        rest = iter(scored)
        return [next(rest) if isinstance(item, Sample) else item for item in items]

    async def _get_reward(self, request: Request) -> Response:
        name, _ = self._router.lane(request.path_params.get("reward"))
        asked = decode_request(await self._body(request))
        self._check_count(len(asked.items))
        answers = await self._openrlhf.answer(name, asked, run=request.query_params.get("run"))
        return _json(encode_openrlhf_answer(answers))

    async def _body(self, request: Request) -> bytes:
        """The request's body, given up as soon as it is known to be too large."""
        limit = self._limits.max_request_bytes
        declared = request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise RequestTooLargeError(_too_large(int(declared), limit))
        chunks, size = [], 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise RequestTooLargeError(_too_large(size, limit))
            chunks.append(chunk)
        return b"".join(chunks)

    def _check_count(self, count: int) -> None:
        if count > self._limits.max_request_samples:
            raise RequestTooLargeError(
                f"a request may hold {self._limits.max_request_samples} samples, found {count}; "
                f"send them in parts, or raise limits.max_request_samples"
            )

    async def _health(self, _request: Request) -> Response:
        return _json(b'{"status":"ok"}')

    async def _ready(self, _request: Request) -> Response:
        starting = [info.name for info in self._router.describe() if info.state != "ready"]
        status = "starting" if starting else "ready"
        return _json(encode({"status": status, "starting": starting}), status_code=503 if starting else 200)

    async def _list(self, _request: Request) -> Response:
        return _json(encode({"rewards": self._router.describe()}))

    async def _describe(self, request: Request) -> Response:
        name, _ = self._router.lane(request.path_params["reward"])
        found: RewardInfo = next(info for info in self._router.describe() if info.name == name)
        return _json(encode(found))

    async def _run(self, request: Request) -> Response:
        return _json(encode(self._router.run_stats(request.path_params["run"])))

    async def _openapi(self, _request: Request) -> Response:
        return _json(encode(openapi_document(list(self._router.lanes))))

    async def _no_route(self, request: Request, _error: Exception) -> Response:
        message = f"{request.method} {request.url.path} is no route here; see /openapi.json"
        return _json(encode(ErrorBody("not_found", message)), status_code=404)

    async def _wrong_method(self, request: Request, _error: Exception) -> Response:
        message = f"{request.url.path} does not take {request.method}; see /openapi.json"
        return _json(encode(ErrorBody("method_not_allowed", message)), status_code=405)


def _too_large(found_bytes: int, limit_bytes: int) -> str:
    return (
        f"a request body may hold {limit_bytes} bytes, found {found_bytes}; "
        f"send fewer samples a request, or raise limits.max_request_bytes"
    )


def _error(error: RayRewardError) -> Response:
    status = next(status for known, status in _STATUS if isinstance(error, known))
    headers = {"Retry-After": f"{error.retry_after_s:g}"} if isinstance(error, BackpressureError) else {}
    response = _json(encode(ErrorBody(type(error).__name__, str(error))), status_code=status)
    response.headers.update(headers)
    return response


def _json(body: bytes, status_code: int = 200) -> Response:
    return Response(body, status_code=status_code, media_type="application/json")
