"""The HTTP door: an ASGI application over a `Router`, without Ray.

What arrives: requests. What leaves: answers whose body is JSON (or msgpack, where the native API is asked for it),
errors always in JSON: what was asked, what was found, what to do. Samples that fail are data in a 200; a status of 400
and above means that nothing was scored.

Routes: ``POST /get_reward`` and ``/<reward>/get_reward`` (OpenRLHF), ``POST /v1/rewards/<reward>``, ``/v1/rewards``,
``/<reward>`` and ``/`` (native), ``/v1/rewards/<reward>/prescale``, ``/v1/rewards/<reward>/versions`` (promote, roll
back, shares), ``GET /v1/rewards``, ``/v1/rewards/<reward>``, ``/v1/rewards/<reward>/versions``, ``/v1/runs/<run>``,
``/v1/service``, ``/health``, ``/ready``, ``/openapi.json``. A path with a slash at its end is the same path.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache, partial

from starlette.types import Receive, Scope, Send

from rayreward.errors import (
    AuthenticationError,
    BackpressureError,
    InvalidInputError,
    RayRewardError,
    RequestTooLargeError,
    RolloutError,
    UnknownRewardError,
)
from rayreward.router.config import Limits
from rayreward.router.openrlhf import OpenRLHFRoute
from rayreward.router.router import Router
from rayreward.router.terms import priority_of
from rayreward.sample import Sample
from rayreward.serve.asgi import KEPT_CHARS, Answer, ClientGoneError, Request, parameters_of
from rayreward.serve.openapi import openapi_document
from rayreward.serve.unclaimed import CLIENTS_UNCLAIMED_S, Unclaimed
from rayreward.trainers.openrlhf import decode_request
from rayreward.trainers.openrlhf import encode_answer as encode_openrlhf_answer
from rayreward.types import Priority, RewardInfo, RewardOutput
from rayreward.wire import (
    MSGPACK,
    ErrorBody,
    Format,
    RestBody,
    ScoreBody,
    ServiceBody,
    decode_prescale_request,
    decode_sample,
    decode_score_request,
    decode_versions_change,
    encode,
    encode_answer,
    encode_rest,
)
from rayreward.workers.outcomes import Outcome

_log = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Answer]]

_STATUS: tuple[tuple[type[RayRewardError], int], ...] = (
    (RequestTooLargeError, 413),
    (InvalidInputError, 400),
    (UnknownRewardError, 404),
    (AuthenticationError, 401),
    (RolloutError, 409),
    (BackpressureError, 429),
    (RayRewardError, 503),
)
_OPEN_PATHS = frozenset({"/health", "/ready", "/openapi.json", "/v1/service"})
"""Asked by load balancers and by other routers, which hold no token; they tell nothing of samples."""

_MAX_TOLD = 100
"""Different mistakes of one kind that the log names: their texts come from outside."""

_ROUTES_KEPT = 256
"""Paths whose handler is remembered: several times what a service has."""

_CLIENT_GONE = 499
"""Nobody reads it; the status is for access logs."""


class Door:
    """The routes of one service.

    Args:
        router: scores by name.
        openrlhf: OpenRLHF's requests through that router.
        limits: what a request may hold.
        unclaimed: where slow samples of calls that were answered early wait to be asked for.
        token_sha256: of the bearer token that callers must send; anybody may call without it.

    Attributes:
        service: what ``GET /v1/service`` says; set where the service knows its place.
    """

    def __init__(
        self,
        router: Router,
        openrlhf: OpenRLHFRoute,
        limits: Limits,
        *,
        unclaimed: Unclaimed | None = None,
        token_sha256: str | None = None,
    ) -> None:
        self._router, self._openrlhf, self._limits, self._token_sha256 = router, openrlhf, limits, token_sha256
        self._unclaimed = unclaimed or Unclaimed("door", wait_s=CLIENTS_UNCLAIMED_S)
        self.service = ServiceBody()
        self._refused_priorities = set[str]()
        # A training asks by the same path and query for every sample; which there are, others may invent.
        self._handler_of = lru_cache(maxsize=_ROUTES_KEPT)(self._find_handler)
        self._trainers_query = lru_cache(maxsize=_ROUTES_KEPT)(self._read_trainers_query)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application, whatever happens."""
        if scope["type"] != "http":
            return  # neither web sockets nor a life span
        request = Request(scope, receive)
        try:
            find = self._handler_of if len(request.path) <= KEPT_CHARS else self._find_handler
            handler = find(request.method, request.path)
            if handler is None:
                answer = self._no_handler(request)
            else:
                self._check_token(request)
                answer = await handler(request)
        except RayRewardError as error:
            answer = _refusal(error)
        except ClientGoneError:
            answer = Answer(b"", _CLIENT_GONE)
        except Exception:  # noqa: BLE001 - the boundary: a request is answered in JSON whatever happens
            _log.exception("%s %s failed; this is a bug in rayreward", request.method, request.path)
            message = "the service failed at this request; that is a bug in rayreward, and its log says where"
            answer = Answer(encode(ErrorBody("InternalError", message)), 500)
        await answer.send(scope, send)

    def _find_handler(self, method: str, path: str) -> Handler | None:
        parts = path[1:].split("/")
        if method == "POST":
            return self._writing(parts)
        return self._reading(parts) if method in ("GET", "HEAD") else None

    def _writing(self, parts: list[str]) -> Handler | None:
        """What answers a POST."""
        match parts:
            case ["get_reward"]:
                return partial(self._get_reward, None)
            case [reward, "get_reward"] if reward:
                return partial(self._get_reward, reward)
            case ["v1", "rewards"]:
                return partial(self._native, None)
            case ["v1", "rewards", reward, "prescale"] if reward:
                return partial(self._prescale, reward)
            case ["v1", "rewards", reward, "versions"] if reward:
                return partial(self._change_versions, reward)
            case ["v1", "rewards", reward] | [reward] if reward or len(parts) == 1:
                return partial(self._native, reward or None)
        return None

    def _reading(self, parts: list[str]) -> Handler | None:
        """What answers a GET."""
        match parts:
            case ["health"]:
                return self._health
            case ["ready"]:
                return self._ready
            case ["openapi.json"]:
                return self._openapi
            case ["v1", "service"]:
                return self._service
            case ["v1", "rewards"]:
                return self._list
            case ["v1", "rewards", reward] if reward:
                return partial(self._describe, reward)
            case ["v1", "rewards", reward, "versions"] if reward:
                return partial(self._versions, reward)
            case ["v1", "runs", run] if run:
                return partial(self._run, run)
        return None

    def _no_handler(self, request: Request) -> Answer:
        parts = request.path[1:].split("/")
        if self._writing(parts) is None and self._reading(parts) is None:
            message = f"{request.method} {request.path} is no route here; see /openapi.json"
            return Answer(encode(ErrorBody("not_found", message)), 404)
        message = f"{request.path} does not take {request.method}; see /openapi.json"
        return Answer(encode(ErrorBody("method_not_allowed", message)), 405)

    def _check_token(self, request: Request) -> None:
        if self._token_sha256 is None or request.path in _OPEN_PATHS:
            return
        scheme, _, token = request.header(b"authorization").partition(" ")
        given = hashlib.sha256(token.encode()).hexdigest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(given, self._token_sha256):
            raise AuthenticationError(
                "this service wants 'Authorization: Bearer <token>'; the token is missing or wrong"
            )

    async def _native(self, reward: str | None, request: Request) -> Answer:
        name, _ = self._router.lane(reward)
        media_type = request.header(b"content-type").partition(";")[0].strip().lower()
        format: Format = "msgpack" if media_type in MSGPACK else "json"
        body = decode_score_request(await request.body(self._limits.max_request_bytes), format=format)
        wanted = _wanted(request.header(b"accept"), format)
        media = b"application/msgpack" if wanted == "msgpack" else b"application/json"
        if isinstance(body, RestBody):
            self._check_count(len(body.tickets))
            return Answer(encode_rest(await self._unclaimed.rest(body.tickets), format=wanted), media_type=media)
        self._check_count(len(body.samples))
        outputs = await self._score(name, body)
        return Answer(encode_answer(name, outputs, format=wanted), media_type=media)

    async def _score(self, name: str, body: ScoreBody) -> Sequence[RewardOutput]:
        """Malformed samples fail alone; the others are scored."""
        items = [decode_sample(item) for item in body.samples]
        samples = [item for item in items if isinstance(item, Sample)]
        timeout_s = min(body.timeout_s or self._limits.request_timeout_s, self._limits.request_timeout_s)
        priority = priority_of(body.priority)
        ask = self._router.begin if body.early else self._router.score
        outcomes: Sequence[Outcome] = await ask(name, samples, timeout_s=timeout_s, priority=priority, caller=body.run)
        self._router.record_outcomes(name, samples, outcomes, run=body.run, step=body.step)
        if len(samples) < len(items):
            scored = iter(outcomes)
            outcomes = [next(scored) if isinstance(item, Sample) else item for item in items]
        return self._unclaimed.begun(outcomes)

    async def _get_reward(self, reward: str | None, request: Request) -> Answer:
        name, _ = self._router.lane(reward)
        asked = decode_request(await request.body(self._limits.max_request_bytes))
        self._check_count(len(asked.items))
        query = request.query_string
        read = self._trainers_query if len(query) <= KEPT_CHARS else self._read_trainers_query
        run, group_size, priority = read(query)
        answers = await self._openrlhf.answer(name, asked, run=run, group_size=group_size, priority=priority)
        return Answer(encode_openrlhf_answer(answers))

    def _read_trainers_query(self, query_string: bytes) -> tuple[str | None, int | None, Priority]:
        """What an OpenRLHF URL says: the run, how many samples a prompt has, and the priority."""
        query = parameters_of(query_string)
        size = query.get("group_size", "")
        priority = self._trainers_priority(query.get("priority") or "train")
        return query.get("run"), int(size) if size.isdecimal() else None, priority

    def _trainers_priority(self, text: str) -> Priority:
        """The priority that a training's URL asks for; what there is not is named in the log, once.

        Its samples are a training's all the same: a refused request is a lost reward there, and kills the run.
        """
        try:
            return priority_of(text)
        except InvalidInputError as error:
            if text not in self._refused_priorities and len(self._refused_priorities) < _MAX_TOLD:
                self._refused_priorities.add(text)
                _log.warning("a training's URL: %s. Its samples are served as 'train'", error)
        return "train"

    def _check_count(self, count: int) -> None:
        if count > self._limits.max_request_samples:
            raise RequestTooLargeError(
                f"a request may hold {self._limits.max_request_samples} samples, found {count}; "
                f"send them in parts, or raise limits.max_request_samples"
            )

    async def _prescale(self, reward: str, request: Request) -> Answer:
        body = decode_prescale_request(await request.body(self._limits.max_request_bytes))
        return Answer(encode(self._router.prescale(reward, body.replicas, for_s=body.for_s)))

    async def _health(self, _request: Request) -> Answer:
        return Answer(b'{"status":"ok"}')

    async def _ready(self, _request: Request) -> Answer:
        starting = self._router.starting
        status = "starting" if starting else "ready"
        told = {"status": status, "starting": starting, "starts": self._router.starts}
        return Answer(encode(told), 503 if starting else 200)

    async def _service(self, _request: Request) -> Answer:
        return Answer(encode(self.service))

    async def _list(self, _request: Request) -> Answer:
        return Answer(encode({"rewards": self._router.describe()}))

    async def _describe(self, reward: str, _request: Request) -> Answer:
        name, _ = self._router.lane(reward)
        found: RewardInfo = next(info for info in self._router.describe() if info.name == name)
        return Answer(encode(found))

    async def _versions(self, reward: str, _request: Request) -> Answer:
        return Answer(encode(self._router.versions(reward)))

    async def _change_versions(self, reward: str, request: Request) -> Answer:
        change = decode_versions_change(await request.body(self._limits.max_request_bytes))
        return Answer(encode(await self._router.change_versions(reward, change)))

    async def _run(self, run: str, _request: Request) -> Answer:
        return Answer(encode(self._router.run_stats(run)))

    async def _openapi(self, _request: Request) -> Answer:
        return Answer(encode(openapi_document(list(self._router.lanes))))


def _wanted(accept: str, asked: Format) -> Format:
    """The format of the answer: what the caller accepts by name, else what it wrote."""
    named = [one.partition(";")[0].strip().lower() for one in accept.split(",")]
    if any(one in MSGPACK for one in named):
        return "msgpack"
    return "json" if "application/json" in named else asked


def _refusal(error: RayRewardError) -> Answer:
    status = next(status for known, status in _STATUS if isinstance(error, known))
    headers = {b"retry-after": b"%g" % error.retry_after_s} if isinstance(error, BackpressureError) else {}
    return Answer(encode(ErrorBody(type(error).__name__, str(error))), status, headers=headers)
