"""Whether an agent's environment can be loaded, as far as that shows without running it.

What arrives: a spec. What leaves: findings. An environment in a file is uploaded from the machine that submits, one in
a package must be installed where it runs.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from rayreward.errors import RewardLoadError
from rayreward.jobs.openrlhf.spec import OpenRLHFSpec
from rayreward.jobs.preflight.findings import Finding
from rayreward.loading import check_address


def check_agent(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """Whether the environment's file or package is there and, in a file, its name."""
    if spec.agent is None:
        return
    remedy = "correct agent.environment: file.py::Name, or package.module:Name"
    try:
        check_address(spec.agent.environment)
    except RewardLoadError as error:
        yield Finding("agent", str(error), remedy)
        return
    yield from check_agent_package(spec)
    turns, tokens, max_len = spec.agent.max_turns, spec.agent.max_turn_tokens, spec.data.max_len
    if tokens is not None and turns * tokens > max_len:
        found = f"{turns} turns of {tokens} tokens do not fit into data.max_len {max_len}"
        yield Finding("agent", found, "raise data.max_len: a whole episode counts as one text", is_warning=True)


def check_agent_package(spec: OpenRLHFSpec) -> Iterator[Finding]:
    """Whether the package of an environment that is no file is installed."""
    if spec.agent is None or "::" in spec.agent.environment:
        return
    package = spec.agent.environment.partition(":")[0].partition(".")[0]
    if importlib.util.find_spec(package) is None:
        found = f"{spec.agent.environment}: there is no package {package!r} here"
        yield Finding("agent", found, "install it on every node, or give the environment as file.py::Name")
