"""Rewards over HTTP.

What arrives: samples. What leaves: the service's outputs. Scoring a sample twice gives the same score and harms
nobody, so what a connection loses is sent again until the deadline, with growing pauses.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
import weakref
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from rayreward.batches import EarlyBatch, Rest
from rayreward.client.base import RewardClient
from rayreward.collecting import collect_seldom
from rayreward.errors import (
    AuthenticationError,
    BackpressureError,
    ConfigError,
    DeadlineError,
    InvalidInputError,
    InvalidOutputError,
    RayRewardError,
    RequestTooLargeError,
    RolloutError,
    ServiceUnavailableError,
    UnknownRewardError,
)
from rayreward.router.prescale import Prescaled
from rayreward.router.rollout import RewardVersions
from rayreward.router.runs import RunStats
from rayreward.sample import Sample
from rayreward.types import Priority, RewardInfo, RewardOutput
from rayreward.wire import (
    Format,
    PrescaleBody,
    RestBody,
    VersionsChangeBody,
    decode_answer,
    decode_rest,
    encode_score_request,
    refusal_of,
)

_SAMPLES_A_REQUEST = 2048
"""Larger lists travel as several requests side by side, so that no body grows without bound."""

_REQUESTS_AT_ONCE = 8

_GRACE_S = 5.0
"""Waited for an answer beyond the deadline: the service gives up on samples there, and its answer takes a moment."""

_MAX_ATTEMPTS = 10
"""With growing pauses up to 20 s in all: a service that restarts is back by then. One that is full is asked until the
deadline."""

_RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
"""A proxy that restarts answers with these; a reward's own failure never does (it is data in a 200)."""


class HttpClient(RewardClient):
    """Scores by a service's URL.

    While one lives, this process's cyclic collector looks seldom; see `rayreward.collecting`.

    Args:
        url: the service's root (``http://host:8000``); or, with `is_endpoint`, one reward's own URL.
        token: bearer token; else the environment's RAYREWARD_TOKEN, read wherever the client is used: it never travels.
        timeout_s: for a call that names none, retries included.
        format: of the bodies; "msgpack" costs both sides less, and needs a service of ours that knows it.
        transport: an httpx transport, for tests; `sleep` is what waits between attempts.

    Raises:
        ConfigError: the URL is none.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        token: str | None = None,
        timeout_s: float = 600.0,
        is_endpoint: bool = False,
        format: Format = "json",
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._url, self._is_endpoint, self._timeout_s = _checked(url), is_endpoint, timeout_s
        self._token, self._transport, self._sleep, self._format = token, transport, sleep, format
        self._pools: _Pools = weakref.WeakKeyDictionary()
        collect_seldom(self)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_pools"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _pools=weakref.WeakKeyDictionary())
        collect_seldom(self)

    async def arewards(self) -> list[RewardInfo]:
        """What the service lists."""
        url = f"{self._url}/v1/rewards"
        answer = await self._request("GET", url, None, self._timeout_s)
        try:
            return msgspec.convert(answer.json()["rewards"], list[RewardInfo])
        except (ValueError, KeyError, TypeError):  # another server answered
            raise InvalidOutputError(
                f"{url} lists no rewards, found {answer.text[:80]!r}; is that the root of a reward service?"
            ) from None

    async def arun_stats(self, run: str) -> RunStats:
        """What became of a run's samples; the client must hold the service's root."""
        url = f"{self._url}/v1/runs/{quote(run, safe='')}"
        answer = await self._request("GET", url, None, self._timeout_s)
        try:
            return msgspec.json.decode(answer.content, type=RunStats)
        except (msgspec.DecodeError, ValueError):  # another server answered
            raise InvalidOutputError(f"{url} holds no statistics of a run, found {answer.text[:80]!r}") from None

    async def aprescale(self, reward: str, replicas: int, *, for_s: float) -> Prescaled:
        """What the service grants; the client must hold the service's root."""
        url = f"{self._url}/v1/rewards/{quote(reward, safe='')}/prescale"
        body = msgspec.json.encode(PrescaleBody(replicas, for_s))
        answer = await self._request("POST", url, body, self._timeout_s)
        try:
            return msgspec.json.decode(answer.content, type=Prescaled)
        except (msgspec.DecodeError, ValueError):  # another server answered
            raise InvalidOutputError(f"{url} granted nothing, found {answer.text[:80]!r}") from None

    async def aversions(self, reward: str) -> RewardVersions:
        """A reward's versions, and who meets which; the client must hold the service's root."""
        return await self._ask_versions("GET", reward, None)

    async def achange_versions(self, reward: str, change: VersionsChangeBody) -> RewardVersions:
        """Promote a reward's candidate, roll it back, or give it other shares of the prompts.

        Raises:
            RolloutError: it cannot be made from where the versions stand.
        """
        return await self._ask_versions("POST", reward, msgspec.json.encode(change))

    async def _ask_versions(self, method: str, reward: str, body: bytes | None) -> RewardVersions:
        url = f"{self._url}/v1/rewards/{quote(reward, safe='')}/versions"
        answer = await self._request(method, url, body, self._timeout_s)
        try:
            return msgspec.json.decode(answer.content, type=RewardVersions)
        except (msgspec.DecodeError, ValueError):  # another server answered
            raise InvalidOutputError(f"{url} tells no versions, found {answer.text[:80]!r}") from None

    async def _send(
        self,
        reward: str | None,
        samples: Sequence[Sample],
        *,
        timeout_s: float | None,
        run: str | None,
        step: int | None,
        priority: Priority,
    ) -> list[RewardOutput]:
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        slots = asyncio.Semaphore(_REQUESTS_AT_ONCE)

        async def send(part: Sequence[Sample]) -> Sequence[RewardOutput]:
            return await self._send_part(
                reward, part, limit_s=limit_s, run=run, step=step, priority=priority, slots=slots
            )

        parts = [samples[at : at + _SAMPLES_A_REQUEST] for at in range(0, len(samples), _SAMPLES_A_REQUEST)]
        return [output for outputs in await asyncio.gather(*map(send, parts)) for output in outputs]

    async def _send_early(
        self, reward: str | None, samples: Sequence[Sample], *, run: str | None, priority: Priority
    ) -> Sequence[RewardOutput]:
        return await self._send_part(
            reward, samples, limit_s=self._timeout_s, run=run, step=None, priority=priority, early=True
        )

    async def _rest(self, reward: str | None, tickets: Sequence[str]) -> Rest:
        written = msgspec.msgpack if self._format == "msgpack" else msgspec.json
        body = written.encode(RestBody(list(tickets)))
        answer = await self._request("POST", self._url_of(reward), body, self._timeout_s)
        return decode_rest(answer.content, len(tickets), format=self._format)

    def _url_of(self, reward: str | None) -> str:
        return self._url if self._is_endpoint else f"{self._url}/v1/rewards/{quote(reward or '', safe='')}".rstrip("/")

    async def _send_part(
        self,
        reward: str | None,
        part: Sequence[Sample],
        *,
        limit_s: float,
        run: str | None,
        step: int | None,
        priority: Priority,
        early: bool = False,
        slots: asyncio.Semaphore | None = None,
    ) -> Sequence[RewardOutput]:
        """One request, where one of `slots` is free."""

        def encoded(part: Sequence[Sample]) -> bytes:
            return encode_score_request(
                part, timeout_s=limit_s, run=run, step=step, priority=priority, early=early, format=self._format
            )

        refused: list[RewardOutput | None] = [None] * len(part)
        try:
            body = encoded(part)
        except InvalidInputError:  # what JSON cannot hold fails alone
            refused = [refusal_of(sample) for sample in part]
            part = [sample for sample, refusal in zip(part, refused, strict=True) if refusal is None]
            body = encoded(part)
        if not part:
            return [refusal for refusal in refused if refusal is not None]
        async with slots or contextlib.nullcontext():
            answer = await self._request("POST", self._url_of(reward), body, limit_s)
        scored = decode_answer(answer.content, len(part), format=self._format)
        if len(part) == len(refused):
            return scored
        outputs = iter(scored)
        whole = [next(outputs) if refusal is None else refusal for refusal in refused]
        if not isinstance(scored, EarlyBatch):
            return whole
        sent = [at for at, refusal in enumerate(refused) if refusal is None]
        return EarlyBatch.without(whole, {sent[at]: ticket for at, ticket in scored.tickets.items()})

    async def _request(self, method: str, url: str, body: bytes | None, limit_s: float) -> httpx.Response:
        """One request, sent again while that can help and there is time."""
        deadline_s = time.monotonic() + limit_s
        attempt = 0
        while True:
            error: RayRewardError
            wait_s = max(0.0, deadline_s - time.monotonic()) + _GRACE_S
            try:
                answer = await self._pool().request(method, url, content=body, timeout=wait_s)
            except httpx.TimeoutException:
                raise DeadlineError(f"{method} {url}: no answer in time; is the service overloaded?") from None
            except httpx.RequestError as lost:
                error, pause_s = ServiceUnavailableError(f"{url} cannot be reached: {lost or type(lost).__name__}"), 0.0
            else:
                if answer.status_code < 400:
                    return answer
                error = _error_of(answer)
                if answer.status_code not in _RETRIED_STATUS:
                    raise error
                pause_s = error.retry_after_s if isinstance(error, BackpressureError) else 0.0
            pause_s = max(pause_s, min(5.0, 0.1 * 2**attempt) * random.uniform(0.5, 1.0))
            if not isinstance(error, BackpressureError):  # a full service is there, and has said when to come again
                attempt += 1
            if attempt >= _MAX_ATTEMPTS or time.monotonic() + pause_s >= deadline_s:
                raise error
            await self._sleep(pause_s)

    def _pool(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None:
            headers = {"Content-Type": f"application/{self._format}"}
            token = self._token if self._token is not None else os.environ.get("RAYREWARD_TOKEN")
            if token:
                headers["Authorization"] = f"Bearer {token}"
            pool = self._pools[loop] = httpx.AsyncClient(headers=headers, transport=self._transport)
        return pool

    async def aclose(self) -> None:
        """Close this loop's connections."""
        pool = self._pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.aclose()

    def __del__(self) -> None:
        """Close what nobody closed: a remote reward lives as long as its holder, who has no reason to close it."""
        for loop, pool in list(getattr(self, "_pools", {}).items()):
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(pool.aclose(), loop)


_Pools = weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient]
"""A connection pool belongs to the event loop that opened it."""


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"{url!r} is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"a service's URL begins with http:// or https:// and a host, found {url!r}")
    return url.rstrip("/")


def _error_of(answer: httpx.Response) -> RayRewardError:
    """The error that an answer's status and body tell of."""
    message = _message_of(answer)
    match answer.status_code:
        case 401 | 403:
            return AuthenticationError(message)
        case 404 if not _is_ours(answer):
            return ServiceUnavailableError(f"no reward service runs at {answer.request.url}: {message}")
        case 404:
            return UnknownRewardError(message)
        case 409:
            return RolloutError(message)
        case 429:
            return BackpressureError(message, _retry_after_s(answer))
        case 408:
            return DeadlineError(message)
        case 413:
            return RequestTooLargeError(message)
        case 400 | 405 | 415 | 422:
            return InvalidInputError(message)
        case status if status >= 500:
            return ServiceUnavailableError(f"the service answered {status}: {message}")
        case status:
            return InvalidOutputError(f"the service answered {status}: {message}")


def _is_ours(answer: httpx.Response) -> bool:
    """Whether a reward service wrote this: Serve's own proxy answers in plain text where no application is."""
    return "json" in answer.headers.get("content-type", "")


def _retry_after_s(answer: httpx.Response) -> float:
    try:
        return float(answer.headers.get("Retry-After", 1.0))
    except ValueError:
        return 1.0  # an HTTP date, which our service never sends


def _message_of(answer: httpx.Response) -> str:
    try:
        body: Any = answer.json()
        return str(body["message"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.request.url} answered {answer.status_code}: {answer.text[:200]!r}"
