import json
from pathlib import Path
from typing import Any

import pytest

from rayreward.jobs.openrlhf.spec import OpenRLHFSpec


def build_spec(**sections: Any) -> OpenRLHFSpec:
    """The smallest spec, with the given keys in place of its own."""
    data = {"name": "test", "model": {"path": "/models/m"}, "data": {"prompts": "/data/p.jsonl"}} | sections
    return OpenRLHFSpec.parse(data, source="test.yaml")


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Three good prompts with labels."""
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"input": f"{n} + 1 = ?", "label": str(n + 1)}) + "\n" for n in range(3)))
    return path
