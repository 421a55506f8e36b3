from __future__ import annotations

import subprocess
import sys

LIGHT = """
import sys
import rayreward.agents, rayreward.agents.binding, rayreward.agents.uploads
print(sorted({name.partition(".")[0] for name in sys.modules} & {"ray", "torch", "openrlhf", "vllm", "numpy"}))
"""


def test_what_authors_and_jobs_import_is_light() -> None:
    found = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
