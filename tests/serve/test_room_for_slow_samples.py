from __future__ import annotations

from typing import Any

import cloudpickle
import pytest

from rayreward import RewardFunction
from rayreward.router.config import ServiceConfig
from rayreward.serve.app import _reward_deployment
from rayreward.workers.patience import MOST_ASIDE

ADDRESS = "a_module_that_only_replicas_have:reward"
TAKEN_AT_ONCE = 2


@pytest.mark.parametrize(
    ("settings", "room"),
    [
        ({"import_path": ADDRESS, "num_replicas": 1}, MOST_ASIDE),
        ({"import_path": ADDRESS, "num_replicas": 4}, MOST_ASIDE),
        ({"import_path": ADDRESS, "num_replicas": 4, "isolation": "thread"}, 0),
        ({"builtin": "math", "args": {"symbolic": False}, "num_replicas": 4}, MOST_ASIDE),
        ({"builtin": "final_answer", "num_replicas": 4, "isolation": "thread"}, 0),
        ({"import_path": ADDRESS, "num_replicas": 4, "prompt_affinity": True}, TAKEN_AT_ONCE + MOST_ASIDE),
    ],
)
def test_a_replica_has_room_for_slow_samples_where_there_can_be_some(settings: Any, room: int) -> None:
    [spec] = ServiceConfig.parse({"rewards": [{"name": "r", **settings}]}, source="tests").rewards
    assert _reward_deployment(spec, "r").max_ongoing_requests == TAKEN_AT_ONCE + room


def test_a_reward_that_was_shipped_is_asked_itself() -> None:
    spec = ServiceConfig.parse({"rewards": [{"name": "r", "import_path": ADDRESS, "num_replicas": 4}]}, source="tests")
    blob = cloudpickle.dumps(RewardFunction(func=lambda response: 1.0, isolation="inline"))
    assert _reward_deployment(spec.rewards[0], "r", blob).max_ongoing_requests == TAKEN_AT_ONCE
