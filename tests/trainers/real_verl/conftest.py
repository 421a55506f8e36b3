"""A real verl in a folder of its own: its pins (transformers below 5.11, tensordict) are not this project's.

``RAYREWARD_TEST_VERL`` names where the folders are made, and `make test-verl` sets it; without it these tests are
skipped, for they install packages. No package of the project's own environment is changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

VERSIONS = ("0.9.1", "0.8.0", "0.7.1")

BESIDE = (
    "tensordict==0.10.0",
    "hydra-core==1.3.8",
    "omegaconf==2.4.0",
    "antlr4-python3-runtime==4.9.3",
    "codetiming==1.4.0",
    "pyvers==0.2.3",
    "orjson==3.13.0",
)
"""What verl imports on the way to its reward loop, and this project's environment lacks."""


@pytest.fixture(scope="session", params=VERSIONS)
def verl(request: pytest.FixtureRequest) -> Path:
    """The folder that a process puts on its path to have this version."""
    place = os.environ.get("RAYREWARD_TEST_VERL")
    if place is None:
        pytest.skip("needs a verl of its own: make test-verl")
    folder = Path(place).resolve() / request.param
    if not (folder / "complete").exists():
        wanted = [f"verl=={request.param}", *BESIDE]
        quiet = ["--quiet", "--disable-pip-version-check", "--no-deps", "--upgrade"]
        subprocess.run([sys.executable, "-m", "pip", "install", *quiet, "--target", str(folder), *wanted], check=True)
        (folder / "complete").touch()
    return folder
