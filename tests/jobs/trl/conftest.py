from typing import Any

from rayreward.jobs.trl.spec import TrlSpec


def build_spec(**sections: Any) -> TrlSpec:
    """The smallest spec, with the given keys in place of its own."""
    data = {"name": "test", "model": {"path": "/models/m"}, "data": {"prompts": "/data/p.jsonl"}} | sections
    return TrlSpec.parse(data, source="test.yaml")
