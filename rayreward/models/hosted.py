"""Reward models that somebody else runs: NVIDIA NIM, vLLM's own server, text-embeddings-inference, over HTTP.

What arrives: samples. What leaves: one output a sample, in order. A service that is slow, full or gone, or refuses the
key, fails samples, each with its own kind of failure, and is asked again while the deadline lets it; a reply without a
number is `unparseable`. The key comes from the environment, and is in no version, message or log.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from rayreward.boundary import Answer, outputs_of
from rayreward.calling.bodies import ASKED_ENCODING, read_body
from rayreward.calling.keys import ServiceKey
from rayreward.calling.limits import Pace
from rayreward.calling.retries import RetryPolicy, WorthRetryingError, is_worth_another_try, persist, read_retry_after
from rayreward.calling.tls import verification
from rayreward.errors import (
    AuthenticationError,
    BackpressureError,
    ConfigError,
    InvalidInputError,
    ServiceUnavailableError,
)
from rayreward.function import Isolation, RewardFunction
from rayreward.models.hosted_apis import Asked, UnreadableReplyError, build_api
from rayreward.outcome import failed_output
from rayreward.sample import Sample, Trajectory
from rayreward.types import FailureKind, RewardOutput

_KEYS = {"nvidia.com": "NVIDIA_API_KEY", "fireworks.ai": "FIREWORKS_API_KEY", "openai.com": "OPENAI_API_KEY"}
"""Where a provider's own clients look for its key."""

_FIREWORKS = "https://api.fireworks.ai/inference/v1"
_MOST_SHOWN = 300
"""Characters of a server's own words in a failure."""


class HostedRewardModel(RewardFunction):
    """A reward model behind an HTTP API. Range: whatever the model has learned.

    Args:
        model_id: the model's name there.
        base_url: the service's root, up to ``/v1`` where it has one; Fireworks' with ``mode="fireworks_hosted"``.
        api: what it speaks. "attributes": chat completions that answer ``helpfulness:1.2,…`` (NVIDIA NIM, Nemotron);
            "classify", "pooling" and "score": routes of vLLM's own server; "predict": text-embeddings-inference.
        weights: of the attributes in the score; see `rayreward.models.hosted_apis.AttributesApi`.
        api_key: else that of the environment.
        api_key_env: the environment variable that holds the key; by default the provider's own (NVIDIA_API_KEY,
            FIREWORKS_API_KEY, OPENAI_API_KEY), or none.
        timeout_s: seconds that one sample may take, waits and retries included.
        max_concurrency: requests under way at once.
        requests_per_minute: what the provider allows; None for no limit.
        max_tries: of one sample.
        mode: "hosted" or "fireworks_hosted", as `RewardFunction` takes it.
        name: what the reward is called.

    Raises:
        ConfigError: no address, an unknown API, or numbers that cannot be.

    Example:
        >>> nemotron = HostedRewardModel("nvidia/nemotron-4-340b-reward", base_url="https://integrate.api.nvidia.com/v1")
        >>> nemotron.api, nemotron.isolation
        ('attributes', 'inline')
    """

    isolation: Isolation = "inline"
    answers_each = True
    name = "hosted_reward_model"
    timeout_s = 60.0
    deterministic = True

    def __init__(
        self,
        model_id: str,
        *,
        base_url: str | None = None,
        api: str = "attributes",
        weights: Mapping[str, float] | None = None,
        api_key: str | None = None,
        api_key_env: str | None = None,
        timeout_s: float | None = None,
        max_concurrency: int = 32,
        requests_per_minute: float | None = None,
        max_tries: int = 4,
        mode: str = "hosted",
        name: str | None = None,
    ) -> None:
        if not model_id:
            raise ConfigError("a hosted reward model needs model_id='…', its name at the service")
        if mode not in ("hosted", "fireworks_hosted"):
            raise ConfigError(f"HostedRewardModel(mode={mode!r}): known are 'hosted' and 'fireworks_hosted'")
        if base_url is None and mode == "fireworks_hosted":
            base_url = _FIREWORKS
        if not base_url or not base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"base_url={base_url!r}: give the service's root, such as 'https://integrate.api.nvidia.com/v1'"
            )
        if max_concurrency < 1 or max_tries < 1:
            raise ConfigError(f"max_concurrency={max_concurrency}, max_tries={max_tries}: both are 1 at least")
        if timeout_s is not None and not timeout_s > 0:
            raise ConfigError(f"timeout_s={timeout_s!r}: seconds above 0 are needed")
        self.model_id, self.base_url, self.api = model_id, base_url.rstrip("/"), api
        self.weights = None if weights is None else dict(weights)
        self._api = build_api(api, weights)
        self._key = ServiceKey(api_key or None, api_key_env or _key_variable(self.base_url))
        self._max_concurrency = max_concurrency
        self._requests_per_minute = requests_per_minute
        self._policy = RetryPolicy(max_tries=max_tries)
        self._pace = Pace(requests_per_minute=requests_per_minute, max_wait_s=timeout_s or self.timeout_s)
        self.timeout_s = timeout_s or self.timeout_s
        self.name = name or self.name

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_pace": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._pace = Pace(requests_per_minute=self._requests_per_minute, max_wait_s=self.timeout_s)

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """Ask for every sample, `max_concurrency` at a time, over one connection pool."""
        return await outputs_of(self, samples)

    async def answer_each(self, samples: Sequence[Sample], answer: Answer) -> None:
        """The same, each as soon as it is known."""
        slots = asyncio.Semaphore(self._max_concurrency)
        try:
            headers = {**ASKED_ENCODING, **self._key.headers()}
        except AuthenticationError as error:
            for at in range(len(samples)):
                answer(at, RewardOutput.failed(FailureKind.UNAVAILABLE, str(error)))
            return
        verify = verification(self.base_url)
        limits = httpx.Limits(max_connections=self._max_concurrency)
        async with httpx.AsyncClient(headers=headers, verify=verify, limits=limits) as http:

            async def ask(at: int, sample: Sample) -> None:
                async with slots:
                    output = await self._score_one(http, sample)
                answer(at, output)

            await asyncio.gather(*map(ask, range(len(samples)), samples))

    async def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The score of one sample."""
        return (await self.ascore([trajectory]))[0]

    async def _score_one(self, http: httpx.AsyncClient, sample: Sample) -> RewardOutput:
        until_s = time.monotonic() + self.timeout_s

        async def attempt() -> RewardOutput:
            return await self._ask(http, body, until_s)

        try:
            body = self._api.body(self.model_id, _asked(sample))
            return await persist(attempt, self._policy, until_s=until_s)
        except UnreadableReplyError as error:
            message = f"{self._where()} answered what cannot be read: {error}"
            return RewardOutput.failed(FailureKind.UNPARSEABLE, self._key.hidden(message))
        except AuthenticationError as error:
            return RewardOutput.failed(FailureKind.UNAVAILABLE, self._key.hidden(str(error)))
        except Exception as error:  # noqa: BLE001 - the boundary: a sample that breaks the call fails alone
            return failed_output(error)

    async def _ask(self, http: httpx.AsyncClient, body: Mapping[str, Any], until_s: float) -> RewardOutput:
        wait_s = self._pace.take()
        if time.monotonic() + wait_s >= until_s:
            raise BackpressureError(f"{self._where()} may not be asked for another {wait_s:.0f} s", wait_s)
        await asyncio.sleep(wait_s)
        left_s = max(0.001, until_s - time.monotonic())
        try:
            # httpx's own limit is for each of a request's parts, and a server that trickles never meets it.
            async with asyncio.timeout(left_s):
                async with http.stream("POST", self._api.url(self.base_url), json=body, timeout=left_s) as answer:
                    content = await read_body(answer)
        except (TimeoutError, httpx.TimeoutException):
            raise TimeoutError(f"{self._where()} gave no answer within {self.timeout_s:g} s") from None
        except UnicodeEncodeError as error:
            raise InvalidInputError(f"the sample is no valid Unicode: {error}") from None
        except httpx.HTTPError as error:
            lost = ServiceUnavailableError(f"{self._where()} cannot be reached: {self._key.hidden(str(error))}")
            raise WorthRetryingError(lost) from error
        if answer.status_code != 200:
            raise self._refused(answer, content)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            raise UnreadableReplyError(f"no JSON, but {_text_of(content)!r}") from None
        return self._api.read(found)

    def _refused(self, answer: httpx.Response, content: bytes) -> Exception:
        """What an HTTP status means for the sample, and whether another try makes sense."""
        status, text = answer.status_code, self._key.hidden(_text_of(content))
        told = f"{self._where()} answered {status}: {text!r}"
        if status in (401, 403):
            return AuthenticationError(f"{told}. {self._key_advice()}")
        if status == 429:
            after_s = read_retry_after(answer.headers.get("retry-after"))
            if after_s is not None:
                self._pace.pause(after_s, "its own Retry-After")
            return WorthRetryingError(BackpressureError(told, after_s or 1.0), after_s)
        if status in (400, 413, 422):
            return InvalidInputError(told)
        if is_worth_another_try(status):
            return WorthRetryingError(
                ServiceUnavailableError(told), read_retry_after(answer.headers.get("retry-after"))
            )
        return ServiceUnavailableError(f"{told}. Are base_url, model_id and api={self.api!r} what it serves?")

    def _where(self) -> str:
        return f"{self.model_id} at {self.base_url}"

    def _key_advice(self) -> str:
        if self._key.given:
            return "The api_key that was given is not accepted there"
        if not self._key.variable:
            return "It wants a key: name the environment variable that holds it as api_key_env"
        state = "is not accepted there" if self._key.read() else "is not set"
        return f"The key comes from the environment's {self._key.variable}, which {state}"


def _text_of(content: bytes) -> str:
    """The beginning of a server's own words."""
    return content[: 4 * _MOST_SHOWN].decode("utf-8", "replace")[:_MOST_SHOWN]


def _asked(sample: Sample) -> Asked:
    unread = [kind for message in sample.messages for kind in message.unread_parts]
    if unread:
        raise InvalidInputError(f"a hosted reward model is sent text only, found a part of type {unread[0]!r}")
    return Asked([{**message, "content": message.text} for message in sample.messages], sample.prompt, sample.response)


def _key_variable(base_url: str) -> str | None:
    host = httpx.URL(base_url).host
    return next((name for domain, name in _KEYS.items() if host == domain or host.endswith(f".{domain}")), None)
