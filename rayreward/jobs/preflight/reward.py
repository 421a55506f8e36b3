"""Whether a reward behind a URL is healthy, and answers real prompts in the way that OpenRLHF can use.

What arrives: URLs, probes and an HTTP client. What leaves: findings. Probes are asked as OpenRLHF asks, one sample a
request and all at once; its consumer's demands on shapes and keys were tried with 0.11.2.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.probes import PREFLIGHT_RUN, Probe, Verdict, judge
from rayreward.jobs.render import add_run_id

_CRASH = "OpenRLHF needs 200 and {'rewards': [number]}, and dies of the first lost reward"


def check_url(
    url: str, probes: Sequence[Probe], http: httpx.Client, *, clip_range: tuple[float, float] | None = None
) -> Iterator[Finding]:
    """Whether the reward at `url` is healthy and sane."""
    try:
        health = http.get(health_url(url))
        if health.status_code >= 500:
            found = f"{health_url(url)} answers {health.status_code}: {health.text[:200]}"
            yield Finding("reward", found, "wait until the reward is ready, or look at its log")
            return
        answers = _ask_all(url, probes, http)
    except httpx.HTTPError as error:
        problem = "gave no answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
        found = f"{url} {problem}: {type(error).__name__} {error}".rstrip()
        yield Finding("reward", found, "start it (rayreward serve), or correct reward.url")
        return
    yield from _check_answers(url, probes, answers, http, clip_range)


def _ask_all(url: str, probes: Sequence[Probe], http: httpx.Client) -> list[httpx.Response]:
    ask = partial(http.post, add_run_id(url, PREFLIGHT_RUN))
    with ThreadPoolExecutor(max_workers=len(probes)) as threads:
        return list(threads.map(lambda probe: _timed(ask, probe), probes))


def _timed(ask: Any, probe: Probe) -> httpx.Response:
    started_s = time.monotonic()
    answer: httpx.Response = ask(json=probe.as_request)
    answer.extensions["elapsed_s"] = time.monotonic() - started_s
    return answer


def _check_answers(
    url: str,
    probes: Sequence[Probe],
    answers: Sequence[httpx.Response],
    http: httpx.Client,
    clip_range: tuple[float, float] | None,
) -> Iterator[Finding]:
    unusable = next((mistake for answer in answers if (mistake := mistake_in_answer(answer)) is not None), None)
    if unusable is not None:
        yield Finding("reward", f"{url} answered a real prompt with {unusable}", _CRASH)
        return
    bodies = [answer.json() for answer in answers]
    yield from _check_likeness(url, bodies)
    pairs = zip(probes, answers, bodies, strict=True)
    verdicts = [_verdict(url, probe, body, answer, http) for probe, answer, body in pairs]
    yield from judge(url, verdicts, clip_range)


def _verdict(url: str, probe: Probe, body: Mapping[str, Any], answer: httpx.Response, http: httpx.Client) -> Verdict:
    """A router of ours answers failures with a stand-in, and says so."""
    elapsed_s = float(answer.extensions["elapsed_s"])
    if _single((body.get("extra_logs") or {}).get("reward_valid", 1.0)) == 0.0:
        return Verdict(None, explain_failure(url, probe, http), elapsed_s)
    return Verdict(float(_single(body["rewards"])), None, elapsed_s)


def explain_failure(url: str, probe: Probe, http: httpx.Client) -> str:
    """Why our router could not score a probe, from its native route."""
    body = {"samples": [probe.as_sample], "run": PREFLIGHT_RUN}
    try:
        output = http.post(native_url(url), json=body).json()["outputs"][0]
        return f"{output['failure']['kind']}: {str(output['failure']['message'])[:200]}"
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return "the answer is a stand-in (reward_valid 0)"


def health_url(url: str) -> str:
    """Where the service of a reward route says how it is.

    Example:
        >>> health_url("http://10.0.0.1:8000/tidy/get_reward?run=a")
        'http://10.0.0.1:8000/health'
    """
    return urlunsplit(urlsplit(url)._replace(path="/health", query=""))


def native_url(url: str) -> str:
    """Where the same router scores with reasons.

    Example:
        >>> native_url("http://10.0.0.1:8000/tidy/get_reward?run=a")
        'http://10.0.0.1:8000/v1/rewards/tidy'
    """
    parts = urlsplit(url)
    name = parts.path.removesuffix("/get_reward")
    return urlunsplit(parts._replace(path=f"/v1/rewards{name}", query=""))


def mistake_in_answer(answer: httpx.Response) -> str | None:
    """Why OpenRLHF could not use this answer; None where it can."""
    if answer.status_code != httpx.codes.OK:
        return f"status {answer.status_code}: {answer.text[:200]}"
    if "json" not in answer.headers.get("content-type", ""):
        return f"content type {answer.headers.get('content-type')!r} instead of application/json"
    try:
        body = answer.json()
        rewards = body["rewards"]
    except (ValueError, KeyError, TypeError):
        return f"no JSON object that holds 'rewards': {answer.text[:200]}"
    if not _is_finite(_single(rewards)):
        return f"rewards {rewards!r:.100}, which is not one finite number"
    return _mistake_in_logs(body.get("extra_logs"))


def _mistake_in_logs(logs: Any) -> str | None:
    if not isinstance(logs, Mapping | None):
        return f"extra_logs that are a {type(logs).__name__}"
    for key, value in (logs or {}).items():
        if not isinstance(_single(value), (int, float)):
            return f"extra_logs {key!r}: {value!r:.80}, which is not one number"
    return None


def _check_likeness(url: str, bodies: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """OpenRLHF stacks the answers of different samples; only alike ones stack."""
    if len({isinstance(body["rewards"], list) for body in bodies}) > 1:
        found = f"{url} answers some samples with a number and some with a list of one"
        yield Finding("reward", found, "OpenRLHF cannot stack both: always give a list")
    keys = [tuple(sorted(body.get("extra_logs") or {})) for body in bodies]
    if len(set(keys)) > 1:
        found = f"{url} answers with different keys in extra_logs: {sorted(set.symmetric_difference(*_two(keys)))}"
        yield Finding("reward", found, "OpenRLHF cannot stack them: give every answer the same keys")


def _two(keys: Sequence[tuple[str, ...]]) -> tuple[set[str], set[str]]:
    return set(keys[0]), set(next(other for other in keys if other != keys[0]))


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _is_finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
