"""A language model behind any OpenAI-compatible server: OpenAI, vLLM, SGLang, Ray Serve's LLM applications.

What arrives: questions. What leaves: replies, or the errors of `Endpoint`. It promises at most so many requests and
tokens a minute and so many requests at once; other tries where they may help, never past a question's deadline; and
that a wrong key is not tried again by everybody. Waiting for one's turn is not counted against the deadline.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from rayreward.calling.bodies import read_body
from rayreward.calling.keys import ServiceKey
from rayreward.calling.limits import Clock, Pace
from rayreward.calling.retries import RetryPolicy, WorthRetryingError, is_worth_another_try, persist, read_retry_after
from rayreward.errors import (
    AuthenticationError,
    BackpressureError,
    ConfigError,
    DeadlineError,
    InvalidInputError,
    ServiceUnavailableError,
)
from rayreward.judges.chat_wire import Dialect, body_of, complaint_of, encode, is_too_long, read_reply
from rayreward.judges.choice_ids import find_choice_ids
from rayreward.judges.connections import Connections, LoopConnections
from rayreward.judges.endpoint import Question, Reply
from rayreward.judges.metered import counted, estimated_tokens, usage_of

OPENAI_URL = "https://api.openai.com/v1"
OPENAI_KEY = "OPENAI_API_KEY"

_LOCKED_S = 60.0
"""After a refused key: long enough that a training's samples do not hammer the provider (some lock accounts), short
enough that a key which was mended is used within a minute. Another key in the variable ends it at once."""


@dataclass(frozen=True, slots=True)
class CallLimits:
    """How one server may be asked.

    Attributes:
        timeout_s: for one question, all tries together, from its turn on.
        max_concurrency: requests under way at once.
        requests_per_minute: None for no limit.
        tokens_per_minute: of questions and replies; None for no limit.
        max_tries: the first one included.
        max_wait_s: a turn that is further away than this is refused.
    """

    timeout_s: float = 60.0
    max_concurrency: int = 32
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    max_tries: int = 4
    max_wait_s: float = 600.0

    def __post_init__(self) -> None:
        for name in ("timeout_s", "max_concurrency", "max_tries", "max_wait_s"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise ConfigError(f"{name} must be above 0, found {value!r:.80}")


class HttpEndpoint:
    """Asks one model of one server.

    Args:
        model: its name there.
        base_url: the server's root, up to ``/v1``.
        api_key: else the environment variable's value, read at every question, wherever it is asked.
        key_variable: that variable.
        limits: how it may be asked.
        transport: an httpx transport, for tests; so are `clock` and `sleep`.

    Raises:
        ConfigError: the URL is none.

    Example:
        >>> HttpEndpoint("judge", base_url="http://127.0.0.1:8000/v1", limits=CallLimits(requests_per_minute=500)).url
        'http://127.0.0.1:8000/v1/chat/completions'
    """

    lost: str | None = None  # a server may come back

    def __init__(
        self,
        model: str,
        *,
        base_url: str = OPENAI_URL,
        api_key: str | None = None,
        key_variable: str = OPENAI_KEY,
        limits: CallLimits | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Clock = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.model, self.limits = model, limits or CallLimits()
        self.url = f"{_checked(base_url)}/chat/completions"
        self._base_url, self._key = _checked(base_url), ServiceKey(api_key, key_variable)
        self._clock, self._sleep = clock, sleep
        self._policy = RetryPolicy(max_tries=self.limits.max_tries)
        self._connections = Connections(self.url, int(self.limits.max_concurrency), transport)
        self._dialect = Dialect()
        self._begin()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_pace", "_refused_key")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def _begin(self) -> None:
        """What is told by this machine's clock: another one's has another beginning."""
        self._pace = Pace(
            requests_per_minute=self.limits.requests_per_minute,
            tokens_per_minute=self.limits.tokens_per_minute,
            max_wait_s=self.limits.max_wait_s,
            clock=self._clock,
        )
        self._refused_key: tuple[str, float, str] | None = None

    async def ask(self, question: Question) -> Reply:
        """The reply; see `Endpoint.ask` for the errors."""
        self._check_key()
        encode(body_of(question, self.model, self._dialect))  # what cannot be sent needs no turn
        self._key.headers()  # what cannot be sent needs no turn, either
        here = await self._connections.here()
        async with here.slots:
            self._check_key()  # another one may have been refused while this one waited
            expected = estimated_tokens(question.messages) + question.max_tokens
            await self._wait_for_turn(expected)
            try:
                async with asyncio.timeout(self.limits.timeout_s):
                    reply = counted(await self._persist(here, question, expected), question)
            except TimeoutError as error:
                if isinstance(error, DeadlineError):
                    raise
                raise DeadlineError(f"{self.url} gave no answer within {self.limits.timeout_s:g} s") from None
        self._pace.settle(expected_tokens=expected, used_tokens=usage_of(reply).tokens)
        return reply

    async def aclose(self) -> None:
        """Close this loop's connections."""
        await self._connections.aclose()

    async def _wait_for_turn(self, tokens: int) -> None:
        wait_s = self._pace.take(tokens=tokens)
        if wait_s > 0:
            await self._sleep(wait_s)

    async def _persist(self, here: LoopConnections, question: Question, tokens: int) -> Reply:
        tried = 0

        async def attempt() -> Reply:
            nonlocal tried
            tried += 1
            if tried > 1:
                await self._wait_for_turn(tokens)  # a try is a request to the server's own limits, too
            if question.choices:
                await self._learn_choice_ids(here, question.choices)
            return await self._attempt(here, question)

        until_s = self._clock() + self.limits.timeout_s
        return await persist(
            attempt, self._policy, until_s=until_s, clock=self._clock, sleep=self._sleep, draw=random.random
        )

    async def _attempt(self, here: LoopConnections, question: Question) -> Reply:
        """One request; one more for each parameter that the server turns out not to take."""
        while True:
            body = body_of(question, self.model, self._dialect)
            answer, content = await self._post(here, encode(body))
            if answer.status_code == 200:
                return read_reply(content, wants_logprobs=bool(question.choices))
            complaint = complaint_of(content)
            may_differ = answer.status_code in (400, 422) and not is_too_long(complaint)
            if not (may_differ and self._dialect.learn(complaint, body)):
                raise self._error_of(answer, complaint)

    async def _post(self, here: LoopConnections, body: bytes) -> tuple[httpx.Response, bytes]:
        try:
            headers = {"Content-Type": "application/json", **self._key.headers()}
            async with here.http.stream("POST", self.url, content=body, headers=headers) as answer:
                return answer, await read_body(answer)
        except httpx.RequestError as lost:
            error = ServiceUnavailableError(f"{self.url} cannot be reached: {lost or type(lost).__name__}")
            raise WorthRetryingError(error) from lost

    def _error_of(self, answer: httpx.Response, complaint: str) -> Exception:
        """What an answer that is no reply is raised as."""
        status = answer.status_code
        said = self._key.hidden(f"{self.url} answered {status}: {complaint}")
        if status in (401, 403):
            return self._lock(f"{self._key_name()} is refused; {said}")
        if status == 402 or "insufficient_quota" in complaint:
            return self._lock(f"the account of {self._key_name()} has no money left; {said}")
        if status == 429:
            retry_after_s = read_retry_after(answer.headers.get("retry-after"))
            if retry_after_s:
                self._pace.pause(retry_after_s, "its Retry-After")
            return WorthRetryingError(BackpressureError(said, retry_after_s or 1.0), retry_after_s)
        if is_worth_another_try(status):
            retry_after_s = read_retry_after(answer.headers.get("retry-after"))
            return WorthRetryingError(ServiceUnavailableError(said), retry_after_s)
        if status in (400, 413, 422):
            advice = "; it is too long for the model: shorten it, or take a larger model" * is_too_long(complaint)
            return InvalidInputError(said + advice)
        return ServiceUnavailableError(said)  # 404: no such model or path; 3xx: another server

    def _lock(self, message: str) -> AuthenticationError:
        self._refused_key = (self._key.read(), self._clock() + _LOCKED_S, message)
        return AuthenticationError(message)

    def _check_key(self) -> None:
        if self._refused_key is None:
            return
        key, until_s, message = self._refused_key
        if key == self._key.read() and self._clock() < until_s:
            raise AuthenticationError(message)
        self._refused_key = None

    def _key_name(self) -> str:
        if self._key.given is not None:
            return "the api_key that was given"
        found = "the key in" if self._key.read() else "no key is set:"
        return f"{found} the environment variable {self._key.variable}"

    async def _learn_choice_ids(self, here: LoopConnections, choices: tuple[str, ...]) -> None:
        if choices in self._dialect.token_ids:
            return
        async with here.discovery:
            if choices not in self._dialect.token_ids:
                try:
                    ids = await find_choice_ids(
                        here.http, self._base_url, self.model, choices, headers=self._key.headers()
                    )
                except httpx.RequestError as lost:
                    error = ServiceUnavailableError(
                        f"{self._base_url} cannot be reached: {lost or type(lost).__name__}"
                    )
                    raise WorthRetryingError(error) from lost
                self._dialect.token_ids[choices] = ids


def _checked(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise ConfigError(f"base_url={url!r} is no URL: {error}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(f"base_url begins with http:// or https:// and a host, such as {OPENAI_URL}, found {url!r}")
    return url.rstrip("/")
