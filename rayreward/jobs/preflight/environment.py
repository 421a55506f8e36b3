"""Whether everybody may read what everybody can read: a job's environment and command.

What arrives: a rendered job. What leaves: findings, which never repeat a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.render import RenderedJob, check_env_vars

CHECK = "environment"

SECRET_VALUE = re.compile(
    r"""\b(
        sk-[A-Za-z0-9_-]{20,}             # OpenAI, Anthropic and those who speak their protocol
      | hf_[A-Za-z0-9]{30,}               # Hugging Face
      | nvapi-[A-Za-z0-9_-]{30,}          # NVIDIA
      | fw_[A-Za-z0-9]{20,}               # Fireworks
      | gh[opsur]_[A-Za-z0-9]{30,}        # GitHub
      | (AKIA|ASIA)[A-Z0-9]{16}           # AWS
      | wandb_v1_[A-Za-z0-9_]{20,}
    )""",
    re.VERBOSE,
)

_HEX_KEY = re.compile(r"[0-9a-f]{40}")
"""A key of W&B; a commit looks alike."""

_ELSEWHERE = "set it on the nodes, or mount it there as a file"


def check_environment(job: RenderedJob) -> Iterator[Finding]:
    """Whether the job shows secrets, or sets what the trainer sets itself."""
    by_name = check_env_vars(job.env_vars)
    for mistake in by_name:
        found, _, remedy = mistake.rpartition("; ")
        yield Finding(CHECK, found, remedy)
    for name, value in job.env_vars.items():
        is_told = any(f" {name} " in mistake for mistake in by_name)
        if not is_told and (SECRET_VALUE.search(value) or (_HEX_KEY.fullmatch(value) and "WANDB" in name.upper())):
            found = f"the value of env_vars.{name} looks like a secret, and everybody on the cluster can read it"
            yield Finding(CHECK, found, _ELSEWHERE)
    yield from _check_command(job)


def _check_command(job: RenderedJob) -> Iterator[Finding]:
    previous = ""
    for word in job.argv:
        if SECRET_VALUE.search(word):
            found = f"a word of the command{f' after {previous}' if previous else ''} looks like a secret, and "
            yield Finding(CHECK, f"{found}everybody on the cluster can read it", _ELSEWHERE)
        previous = word if word.startswith("--") and not SECRET_VALUE.search(word) else previous
    for url in job.reward_urls:
        if urlsplit(url).password:
            found = f"the URL of the reward at {urlsplit(url).hostname} holds a password, and everybody can read it"
            yield Finding(CHECK, found, "let the service trust the cluster's network, or take transport handle")
