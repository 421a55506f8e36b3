from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = ("ray", "torch", "fastapi", "vllm", "transformers", "wandb", "numpy", "openrlhf", "trl", "matplotlib")

SCRIPT = """
import json, sys
{statement}
print(json.dumps(sorted({{name.partition(".")[0] for name in sys.modules}} & {{*{heavy}}})))
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import rayreward",
        "import rayreward.rewards",
        "from rayreward import *",
        "import rayreward.testing",
        "import rayreward.workers.child",
        "import rayreward.sandbox",
        "import rayreward.router.openrlhf",
        "import rayreward.serve.door",
        "from rayreward.rewards import LengthReward; LengthReward(3)(response='a b c')",
    ],
)
def test_importing_is_light(statement: str) -> None:
    script = SCRIPT.format(statement=statement, heavy=HEAVY)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []
