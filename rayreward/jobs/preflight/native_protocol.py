"""Whether a service of ours scores probes on its native route, which says why where it does not.

What arrives: a reward's URL, probes and an HTTP client. What leaves: findings, and the reason of a single failure.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.probes import PREFLIGHT_RUN, PROBE_TIMEOUT_S, Probe, Verdict, ask_warm, judge


def check_native_answers(
    url: str, probes: Sequence[Probe], http: httpx.Client, clip_range: tuple[float, float]
) -> Iterator[Finding]:
    """Whether all probes are scored, and sanely.

    Raises:
        httpx.HTTPError: they were not answered at all.
    """

    def ask() -> list[Verdict]:
        started_s = time.monotonic()
        answer = _ask(url, probes, http)
        elapsed_s = time.monotonic() - started_s
        try:
            return [_verdict(output, elapsed_s) for output in answer.json()["outputs"]]
        except (ValueError, LookupError, TypeError):
            raise _UnusableError(f"status {answer.status_code}: {answer.text[:200]}") from None

    try:
        verdicts = ask_warm(ask)
    except _UnusableError as error:
        remedy = "correct reward.url or reward.name: rayreward score tries it by itself"
        yield Finding("reward", f"{url} answered real prompts with {error}", remedy)
        return
    yield from judge(url, probes, verdicts, clip_range)


class _UnusableError(Exception):
    """An answer without outputs."""


def find_failure(url: str, probe: Probe, http: httpx.Client) -> str | None:
    """Why our router cannot score a probe; None where it can, or where it is none of ours."""
    try:
        return _verdict(_ask(url, [probe], http).json()["outputs"][0], 0.0).problem
    except (httpx.HTTPError, ValueError, LookupError, TypeError):
        return None


def native_url(url: str) -> str:
    """The native route beside OpenRLHF's: /x/get_reward is the reward x.

    Example:
        >>> native_url("http://10.0.0.1:8000/tidy/get_reward?run=a")
        'http://10.0.0.1:8000/tidy'
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.removesuffix("/get_reward") or "/", query=""))


def _ask(url: str, probes: Sequence[Probe], http: httpx.Client) -> httpx.Response:
    token = os.environ.get("RAYREWARD_TOKEN")
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    samples = [probe.as_sample for probe in probes]
    body = {"samples": samples, "run": PREFLIGHT_RUN, "timeout_s": PROBE_TIMEOUT_S}
    return http.post(native_url(url), json=body, headers=headers)


def _verdict(output: Mapping[str, Any], elapsed_s: float) -> Verdict:
    failure, score = output.get("failure"), output.get("score")
    if failure is not None or score is None:
        told = failure or {"kind": "error", "message": "no score"}
        return Verdict(None, f"{told['kind']}: {str(told['message'])[:200]}", elapsed_s)
    return Verdict(float(score), None, elapsed_s)
