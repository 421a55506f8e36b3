from pathlib import Path

import pytest

from rayreward.jobs.preflight import submitter_side
from tests.jobs.preflight.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A training that passes every check."""
    world = World(tmp_path)
    monkeypatch.setattr(submitter_side, "read_versions", lambda: world.versions)
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    return world
