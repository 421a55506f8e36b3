from typing import Any

import httpx
import pytest

from rayreward.errors import ConfigError
from rayreward.jobs.preflight import Finding, preflight, refuse_errors
from rayreward.jobs.render import RenderedJob
from rayreward.jobs.trl.spec import TrlSpec
from tests.jobs.preflight.world import FakeNode, World


def warnings(world: World, **options: Any) -> list[str]:
    findings = world.preflight(**options)
    assert all(finding.is_warning for finding in findings)
    return [finding.found for finding in findings]


def test_a_finding_reads_as_one_line() -> None:
    assert str(Finding("prompts", "p.jsonl is empty", "write some")) == "prompts: p.jsonl is empty; write some"


def test_warnings_are_returned_and_errors_raised() -> None:
    warning, error = Finding("a", "odd", "look", is_warning=True), Finding("b", "wrong", "mend")

    assert refuse_errors("mine", [warning]) == [warning]
    with pytest.raises(ConfigError, match=r"^mine: b: wrong; mend$"):
        refuse_errors("mine", [warning, error])


def test_without_a_dashboard_the_cluster_is_left_out(world: World) -> None:
    assert warnings(world, dashboard_url=None) == []
    assert {request.url.host for request in world.asked} == {"reward"}


def test_a_dashboard_that_does_not_answer_is_a_warning(world: World) -> None:
    world.nodes = None  # type: ignore[assignment]

    def carry(request: httpx.Request) -> httpx.Response:
        if request.url.host == "head":
            raise httpx.ConnectError("refused", request=request)
        return world._carry(request)

    (found,) = warnings(world, transport=httpx.MockTransport(carry))

    assert "no dashboard answers at http://head:8265, and nothing of the cluster was checked" in found


def test_a_cluster_that_adds_nodes_needs_no_room_now(world: World) -> None:
    world.set("resources", autoscaled=True)
    world.nodes = [FakeNode("10.0.0.1", {"CPU": 2.0})]

    assert warnings(world) == []


def test_a_cluster_elsewhere_is_not_judged_by_this_machine(world: World) -> None:
    world.prompts.unlink()
    world.versions, world.ray_version = {"ray": "2.60.0"}, "2.55.0"

    def refuse(_: Any) -> httpx.Response:
        raise httpx.ConnectError("refused")

    world.answer = refuse

    found = warnings(world, is_elsewhere=True)

    assert ["cannot be reached" in line or "the cluster runs Ray 2.55.0" in line for line in found] == [True, True]


def test_a_hub_s_prompts_are_a_warning_and_the_reward_is_tried_with_others(world: World) -> None:
    world.set("data", prompts="owner/name")
    world.answer = lambda body: httpx.Response(200, json={"rewards": [float("know" not in body["query"][0])]})

    (found,) = warnings(world)

    assert "owner/name is on a hub" in found


def test_an_environment_that_scores_by_itself_needs_no_application(world: World) -> None:
    world.sections |= {"reward": {}, "agent": {"environment": "json:JSONDecoder", "rewards": "environment"}}
    world.applications = {}

    assert warnings(world) == []


def trl_spec(world: World, **sections: Any) -> TrlSpec:
    kept = {key: world.sections[key] for key in ("model", "data", "checkpoint")}
    rollout = {"batch_size": 4, "n_samples_per_prompt": 2}
    return TrlSpec.parse(
        {"name": "test", **kept, "rollout": rollout, "reward": {"name": "tidy"}, **sections}, source="t"
    )


def check_trl(world: World, spec: TrlSpec) -> list[Finding]:
    job = RenderedJob("test", "r", ("python", "-m", "trainer"), {}, kind="trl", gpus=float(spec.gpus))
    transport = httpx.MockTransport(world._carry)
    return preflight(spec, job, dashboard_url="http://head:8265", transport=transport)


def test_a_training_by_trl_passes_too(world: World) -> None:
    world.versions = {"trl": "0.25.0", "ray": "2.55.0"}

    assert check_trl(world, trl_spec(world)) == []


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({}, r"trl is not installed; pip install"),
        ({"data": {"prompts": "/nowhere.jsonl"}}, r"/nowhere\.jsonl does not exist"),
        ({"rollout": {"batch_size": 16}}, r"8 prompts do not fill one step of 16; nothing would be learnt"),
        (
            {"resources": {"gpus": 8}, "train": {"micro_batch_size": 1}},
            r"8 GPUs of one node, and the largest has 4; set resources\.gpus to fewer",
        ),
        ({"reward": {"name": "tdiy"}}, r"has no reward 'tdiy'; .*did you mean 'tidy'"),
    ],
)
def test_mistakes_of_a_training_by_trl_are_found(world: World, sections: dict[str, Any], expected: str) -> None:
    if sections:
        world.versions = {"trl": "0.25.0", "ray": "2.55.0"}

    with pytest.raises(ConfigError, match=expected):
        check_trl(world, trl_spec(world, **sections))
