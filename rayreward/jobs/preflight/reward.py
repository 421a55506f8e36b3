"""Whether a reward behind a URL is healthy, can be reached, and scores real prompts.

What arrives: a URL, probes and an HTTP client. What leaves: findings. Which protocol the trainer speaks decides how it
is asked: `openrlhf_protocol` or `native_protocol`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit, urlunsplit

import httpx

from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.native_protocol import check_native_answers
from rayreward.jobs.preflight.openrlhf_protocol import check_openrlhf_answers
from rayreward.jobs.preflight.probes import Probe
from rayreward.jobs.spec import JobSpec

UNREACHABLE = "cannot be reached"


def check_url(url: str, spec: JobSpec, probes: Sequence[Probe], http: httpx.Client) -> Iterator[Finding]:
    """Whether the reward at `url` is healthy and sane."""
    check_answers = check_openrlhf_answers if isinstance(spec, OpenRLHFSpec) else check_native_answers
    try:
        health = http.get(health_url(url))
        if health.status_code >= 500:
            found = f"{health_url(url)} answers {health.status_code}: {health.text[:200]}"
            yield Finding("reward", found, "wait until the reward is ready, or look at its log")
            return
        findings = list(check_answers(url, probes, http, spec.reward.clip_range))
    except httpx.HTTPError as error:
        problem = "gave no answer in time" if isinstance(error, httpx.ReadTimeout) else UNREACHABLE
        found = f"{url} {problem}: {type(error).__name__} {error}".rstrip()
        yield Finding("reward", found, "start it (rayreward serve), or correct reward.url")
        return
    yield from findings


def health_url(url: str) -> str:
    """Where the service of a reward route says how it is.

    Example:
        >>> health_url("http://10.0.0.1:8000/tidy/get_reward?run=a")
        'http://10.0.0.1:8000/health'
    """
    return urlunsplit(urlsplit(url)._replace(path="/health", query=""))
