"""What a burst has freed stays with the process: read from the kernel's own count of page faults."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

FAULTS_OF_A_BURST = """
import resource
from rayreward.serve.heap import keep_heap

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def burst():
    return [b"x" * (4 * 2**20) for _ in range(8)]

kept = {asked} and keep_heap()
for _ in range(2):
    burst()
before = faults()
for _ in range(10):
    burst()
print(int(kept), faults() - before)
"""


def faults_of_a_burst(*, asked: bool, **environment: str) -> tuple[bool, int]:
    """Whether the heap is kept, and the page faults of ten bursts of 32 MiB after the first two."""
    code = FAULTS_OF_A_BURST.replace("{asked}", str(asked))
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    kept, count = said.stdout.split()
    return bool(int(kept)), int(count)


@pytest.fixture(autouse=True)
def _is_glibc() -> None:
    if not (hasattr(os, "confstr_names") and "CS_GNU_LIBC_VERSION" in os.confstr_names):
        pytest.skip("another C library allocates here")


def test_a_burst_after_the_first_takes_no_pages_from_the_kernel() -> None:
    _, usual = faults_of_a_burst(asked=False)
    is_kept, count = faults_of_a_burst(asked=True)
    assert is_kept
    assert usual > 10_000  # else the kernel or the library has changed, and nobody needs this any longer
    assert count < usual / 20


def test_what_the_environment_says_goes_first() -> None:
    is_kept, _ = faults_of_a_burst(asked=True, MALLOC_TRIM_THRESHOLD_="131072")
    assert not is_kept
