from typing import Any

import pytest

from rayreward.jobs.preflight.application import check_application
from rayreward.jobs.preflight.cluster import Node
from rayreward.jobs.sections import RewardBinding
from tests.jobs.preflight.world import running

NODE = Node("a", "10.0.0.1", {"CPU": 8.0}, {"CPU": 8.0})


def check(binding: RewardBinding, application: dict[str, Any]) -> list[str]:
    serve = {"applications": {"rewards": application}}
    return [str(finding) for finding in check_application(binding, serve, [NODE])]


@pytest.mark.parametrize("state", ["HEALTHY", "UPSCALING", "DOWNSCALING"])
def test_an_application_that_can_answer_is_fine(state: str) -> None:
    assert check(RewardBinding(name="tidy"), running("tidy", "router", tidy=state)) == []
    assert check(RewardBinding(), running("tidy", "router", tidy=state)) == []


def test_the_state_of_other_rewards_is_not_this_training_s_business() -> None:
    application = running("tidy", "other", "router", other="UNHEALTHY")

    assert check(RewardBinding(name="tidy"), application) == []
    assert len(check(RewardBinding(), application)) == 1, "the main reward may be any of them"


def test_an_application_of_something_else_is_found() -> None:
    (found,) = check(RewardBinding(app="rewards"), running("LLMServer"))

    assert "is none of rayreward's; start one with: serve run deployments/" in found


def test_the_router_is_no_reward() -> None:
    (found,) = check(RewardBinding(name="router"), running("tidy", "router"))

    assert "has no reward 'router'" in found


def test_an_application_that_failed_says_why() -> None:
    (found,) = check(RewardBinding(), running("router", status="DEPLOY_FAILED") | {"message": "no module 'judge'"})

    assert "is DEPLOY_FAILED: no module 'judge'" in found


def test_a_replica_that_waits_for_resources_that_nobody_has_is_found() -> None:
    application = running("tidy", "router")
    application["deployments"]["tidy"]["required_resources"] = {"CPU": 1, "GPU": 1, "scratch": 0}

    (found,) = check(RewardBinding(), application)

    assert "a replica of 'tidy' needs 1 GPU, and no node has any" in found
