"""The door's routes of a reward's versions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from rayreward.errors import RolloutError
from rayreward.testing import ScriptedReward, served
from rayreward.wire import VersionsChangeBody
from tests.router.stages import turns
from tests.serve.test_door import strict


@pytest.fixture
async def service() -> AsyncIterator[served]:
    rewards = {"math": ScriptedReward(default=1.0), "plain": ScriptedReward(default=0.0)}
    async with served(rewards, candidates={"math": ScriptedReward(default=0.5)}, token="t") as service:
        service.http.headers["Authorization"] = "Bearer t"
        yield service


async def test_versions_are_told_changed_and_seen_on_the_outputs(service: served) -> None:
    path, ask = "/v1/rewards/math/versions", {"samples": [{"response": "a"}]}
    before = strict(await service.http.get(path))
    assert (before["live"]["name"], before["candidate"]["name"]) == ("math", "math.candidate")
    shared = await service.http.post(path, json={"action": "set", "canary_percent": 100})
    assert (shared.status_code, strict(shared)["canary_percent"]) == (200, 100.0)
    [output] = strict(await service.http.post("/v1/rewards/math", json=ask))["outputs"]
    assert (output["score"], output["version"]) == (0.5, before["candidate"]["version"])
    promoted = strict(await service.http.post(path, json={"action": "promote"}))
    assert (promoted["live"], promoted["candidate"]) == (before["candidate"], None)
    strict(await service.http.post(path, json={"action": "roll_back"}))
    [output] = strict(await service.http.post("/v1/rewards/math", json=ask))["outputs"]
    assert (output["score"], output["version"]) == (1.0, before["live"]["version"])


@pytest.mark.parametrize(
    ("reward", "body", "status", "message"),
    [
        ("math", {"action": "roll_back"}, 409, "nothing can be rolled back"),
        ("plain", {"action": "promote"}, 409, "has one version"),
        ("maht", {"action": "promote"}, 404, "did you mean 'math'"),
        ("math", {"action": "demote"}, 400, "the body must be {'action'"),
        ("math", {"action": "promote", "canary": 1}, 400, "unknown field `canary`"),
        ("math", {"action": "set", "canary_percent": 101}, 400, "from 0 to 100, found 101"),
    ],
)
async def test_what_cannot_be_is_refused_with_its_reason(
    service: served, reward: str, body: dict[str, Any], status: int, message: str
) -> None:
    answer = await service.http.post(f"/v1/rewards/{reward}/versions", json=body)
    assert answer.status_code == status
    assert message in strict(answer)["message"]


async def test_nobody_without_the_token_sees_or_changes_versions(service: served) -> None:
    del service.http.headers["Authorization"]
    path = "/v1/rewards/math/versions"
    assert (await service.http.get(path)).status_code == 401
    assert (await service.http.post(path, json={"action": "promote"})).status_code == 401


async def test_the_client_speaks_of_versions_in_values(service: served) -> None:
    found = await service.client.achange_versions("math", VersionsChangeBody("set", shadow_percent=100))
    assert found == await service.client.aversions("math")
    await service.client.ascore([{"response": "a"}], reward="math", run="ppo")
    await turns(50)
    shadow = (await service.client.aversions("math")).shadow
    assert shadow is not None
    assert (shadow.compared_count, shadow.mean_absolute_difference) == (1, 0.5)
    assert (await service.client.arun_stats("ppo")).sample_count == 1
    with pytest.raises(RolloutError, match="has one version"):
        await service.client.achange_versions("plain", VersionsChangeBody("promote"))


async def test_versions_are_in_the_services_description(service: served) -> None:
    document = strict(await service.http.get("/openapi.json"))
    assert document["paths"]["/v1/rewards/{reward}/versions"].keys() == {"get", "post", "parameters"}
    assert document["components"]["schemas"].keys() >= {"RewardVersions", "ShadowComparison", "VersionsChangeBody"}
