from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rayreward.errors import SandboxError
from rayreward.sandbox import Sandbox, Tier

ISOLATING = [Tier.NAMESPACES, Tier.LANDLOCK]


def open_sandbox(tier: Tier) -> Sandbox:
    """A sandbox of exactly this tier, where this machine has it."""
    sandbox = Sandbox(least_tier=tier, strongest_tier=tier)
    try:
        sandbox.start()
    except SandboxError as error:
        pytest.skip(f"this machine does not isolate by {tier.value}: {error}")
    return sandbox


@pytest.fixture(scope="session", params=ISOLATING, ids=str)
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    with open_sandbox(request.param) as opened:
        yield opened


def processes() -> set[int]:
    """All that run on this machine and can be seen."""
    return {int(found.name) for found in Path("/proc").iterdir() if found.name.isdecimal()}
