"""Whether a reward answers in the way that OpenRLHF can use.

What arrives: a reward's URL, probes and an HTTP client. What leaves: findings. Probes are asked as OpenRLHF asks, one
sample a request and all at once; what its consumer demands of shapes and keys was tried with 0.11.2.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.native_protocol import find_failure
from rayreward.jobs.preflight.probes import PREFLIGHT_RUN, Probe, Verdict, ask_warm, judge
from rayreward.jobs.render import add_run_id

_CRASH = "OpenRLHF needs 200 and {'rewards': [number]}, and dies of the first lost reward"


def check_openrlhf_answers(
    url: str, probes: Sequence[Probe], http: httpx.Client, clip_range: tuple[float, float]
) -> Iterator[Finding]:
    """Whether all probes are answered in a usable way, and sanely.

    Raises:
        httpx.HTTPError: a probe was not answered at all.
    """
    bodies: list[Mapping[str, Any]] = []

    def ask() -> list[Verdict]:
        answers = _ask_all(url, probes, http)
        for mistake in filter(None, map(mistake_in_answer, answers)):
            raise _UnusableError(mistake)
        bodies[:] = [answer.json() for answer in answers]
        pairs = zip(probes, answers, bodies, strict=True)
        return [_verdict(url, probe, body, answer, http) for probe, answer, body in pairs]

    try:
        verdicts = ask_warm(ask)
    except httpx.ReadTimeout:
        # A router of ours may hold a failed sample back for longer than that, and knows why it failed.
        problem = find_failure(url, probes[0], http)
        if problem is None:
            raise
        yield from judge(url, probes, [Verdict(None, problem, 0.0)] * len(probes), clip_range)
        return
    except _UnusableError as error:
        yield Finding("reward", f"{url} answered a real prompt with {error}", _CRASH)
        return
    yield from _check_likeness(url, bodies)
    yield from judge(url, probes, verdicts, clip_range)


class _UnusableError(Exception):
    """An answer that OpenRLHF cannot use."""


def _ask_all(url: str, probes: Sequence[Probe], http: httpx.Client) -> list[httpx.Response]:
    asked = add_run_id(url, PREFLIGHT_RUN)

    def ask(probe: Probe) -> httpx.Response:
        started_s = time.monotonic()
        answer = http.post(asked, json=probe.as_request)
        answer.extensions["elapsed_s"] = time.monotonic() - started_s
        return answer

    with ThreadPoolExecutor(max_workers=len(probes)) as threads:
        return list(threads.map(ask, probes))


def _verdict(url: str, probe: Probe, body: Mapping[str, Any], answer: httpx.Response, http: httpx.Client) -> Verdict:
    """A router of ours answers failures with a stand-in, and says so."""
    elapsed_s = float(answer.extensions["elapsed_s"])
    if _single((body.get("extra_logs") or {}).get("reward_valid", 1.0)) == 0.0:
        problem = find_failure(url, probe, http) or "a stand-in instead of a score (reward_valid 0)"
        return Verdict(None, problem, elapsed_s)
    return Verdict(float(_single(body["rewards"])), None, elapsed_s)


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
    reward = _single(rewards)
    if not isinstance(reward, (int, float)) or not math.isfinite(reward):
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
    keys = [set(body.get("extra_logs") or {}) for body in bodies]
    unlike = set.union(*keys) - set.intersection(*keys)
    if unlike:
        found = f"{url} has {', '.join(sorted(unlike))} in the extra_logs of some answers and not of others"
        yield Finding("reward", found, "OpenRLHF cannot stack them: give every answer the same keys")


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value
