import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from rayreward.errors import ConfigError
from rayreward.jobs import preflight as preflight_module
from rayreward.jobs.openrlhf.cpu import SUPPORTED_OPENRLHF
from rayreward.jobs.preflight import (
    Finding,
    Resources,
    check_batches,
    check_model,
    check_placement,
    check_prompts,
    check_reward,
    check_room,
    check_version,
    health_url,
    plan_resources,
    preflight,
    read_free_resources,
    read_probe,
)
from rayreward.jobs.render import render
from tests.jobs.conftest import build_spec

REWARD = "http://reward:8000/tidy/get_reward?run=r"
DASHBOARD = "http://head:8265"


def client(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(answer))


def scoring(body: Any, status: int = 200) -> Callable[[httpx.Request], httpx.Response]:
    """A healthy service that answers every sample with `body`."""
    return lambda request: httpx.Response(status, json=body) if request.method == "POST" else httpx.Response(200)


def cluster(gpus: list[float], cpus: list[float]) -> dict[str, Any]:
    """What Ray 2.55's dashboard answers, shortened: used and total."""
    usage = {"CPU": cpus, "GPU": gpus, "memory": [0.0, 24.0]}
    return {"data": {"clusterStatus": {"loadMetricsReport": {"usage": usage}}}}


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"algorithm": {"estimator": "rloo"}, "rollout": {"n_samples_per_prompt": 1}}, "rloo compares"),
        (
            {"algorithm": {"estimator": "gae", "dynamic_filtering": True}, "rollout": {"n_samples_per_prompt": 1}},
            "differ",
        ),
        (
            {"rollout": {"batch_size": 1, "micro_batch_size": 8}, "resources": {"actor": {"gpus_per_node": 4}}},
            "4 actors",
        ),
        ({"rollout": {"batch_size": 8}, "train": {"batch_size": 128}}, "more than the 64 samples"),
        ({"train": {"batch_size": 100, "micro_batch_size": 8}}, "no multiple of 8"),
        ({"rollout": {"max_new_tokens": 2048}}, "leaves no room for a prompt"),
    ],
)
def test_arithmetic_that_openrlhf_would_assert_is_found(sections: dict[str, Any], expected: str) -> None:
    findings = list(check_batches(build_spec(**sections)))

    assert any(expected in finding.found for finding in findings)
    assert all(finding.remedy for finding in findings)


@pytest.mark.parametrize("estimator", ["reinforce", "gae", "flash_reinforce"])
def test_estimators_without_groups_may_take_one_sample(estimator: str) -> None:
    spec = build_spec(algorithm={"estimator": estimator}, rollout={"n_samples_per_prompt": 1})

    assert list(check_batches(spec)) == []


@pytest.mark.parametrize(
    ("sections", "expected"),
    [
        ({"resources": {"colocate": "all", "vllm": {"engines": 2}}}, "engines (2 GPUs) and actor (1)"),
        (
            {"resources": {"colocate": "actor_ref", "reference": {"nodes": 2}}, "algorithm": {"kl_coef": 0.1}},
            "differ in shape",
        ),
        ({"resources": {"vllm": {"sleep": True}}}, "resources.vllm.sleep"),
        ({"train": {"sleep": True, "async_rollout": True}, "resources": {"colocate": "all"}}, "train.sleep"),
    ],
)
def test_a_placement_that_openrlhf_would_assert_is_found(sections: dict[str, Any], expected: str) -> None:
    (finding,) = check_placement(build_spec(**sections))

    assert expected in finding.found


@pytest.mark.parametrize(
    ("colocate", "async_rollout", "gpus"),
    [("none", False, 2 + 2 + 2 + 4), ("actor_ref", False, 2 + 2 + 4), ("all", False, 2), ("all", True, 2 + 4)],
)
def test_the_plan_counts_what_openrlhf_asks_for(colocate: str, async_rollout: bool, gpus: int) -> None:
    spec = build_spec(
        algorithm={"estimator": "gae", "kl_coef": 0.1},
        train={"async_rollout": async_rollout},
        resources={"actor": {"gpus_per_node": 2}, "vllm": {"engines": 4}, "colocate": colocate},
    )

    assert plan_resources(spec) == Resources(gpus=gpus, cpus=gpus + 1)


def test_a_plan_that_would_wait_for_ever_is_found() -> None:
    plan = Resources(gpus=2, cpus=3)

    assert list(check_room(plan, Resources(gpus=2, cpus=3))) == []
    assert list(check_room(plan, None)) == [], "a dashboard that does not say is no mistake of the spec"
    found = [finding.found for finding in check_room(plan, Resources(gpus=1, cpus=2))]
    assert found == ["the plan takes 2 GPUs and 1 are free", "the plan takes 3 CPUs and 2 are free"]


def test_free_resources_are_what_the_dashboard_does_not_count_as_used() -> None:
    http = client(lambda _: httpx.Response(200, json=cluster(gpus=[1.0, 4.0], cpus=[2.0, 8.0])))

    assert read_free_resources(DASHBOARD, http) == Resources(gpus=3.0, cpus=6.0)


def test_a_cluster_that_does_not_report_its_usage_yet_is_asked_for_its_nodes() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/cluster_status":
            return httpx.Response(200, json={"data": {"clusterStatus": {"loadMetricsReport": {"usage": {}}}}})
        nodes = [
            {"state": "ALIVE", "resources_total": {"CPU": 8.0, "GPU": 4.0}},
            {"state": "ALIVE", "resources_total": {"CPU": 2.0}},
            {"state": "DEAD", "resources_total": {"CPU": 64.0, "GPU": 8.0}},
        ]
        return httpx.Response(200, json={"data": {"result": {"result": nodes}}})

    assert read_free_resources(DASHBOARD, client(answer)) == Resources(gpus=4.0, cpus=10.0)


@pytest.mark.parametrize("answer", [httpx.Response(500), httpx.Response(200, json={"data": None}), httpx.Response(200)])
def test_a_dashboard_that_answers_otherwise_says_nothing(answer: httpx.Response) -> None:
    assert read_free_resources(DASHBOARD, client(lambda _: answer)) is None


def test_a_folder_without_a_model_is_found(tmp_path: Path) -> None:
    (finding,) = check_model(build_spec(model={"path": str(tmp_path)}))

    assert "has no config.json" in finding.found
    (tmp_path / "config.json").touch()
    assert list(check_model(build_spec(model={"path": str(tmp_path), "critic_path": "owner/name"}))) == []


def test_good_prompts_have_no_findings(prompts: Path) -> None:
    spec = build_spec(data={"prompts": str(prompts), "label_key": "label"})

    assert list(check_prompts(spec)) == []


def test_prompts_on_a_hub_are_left_to_openrlhf() -> None:
    assert list(check_prompts(build_spec(data={"prompts": "owner/name"}))) == []


def test_a_missing_file_is_found() -> None:
    (finding,) = check_prompts(build_spec(data={"prompts": "/nowhere/p.jsonl"}))

    assert "does not exist" in finding.found


@pytest.mark.parametrize(
    ("content", "found", "remedy"),
    [
        ('{"input": "a", "label": 1}\n{"input": \n', "row 2: cannot be read", "one JSON object a line"),
        ("", "is empty", "one JSON object a line"),
        ("[1]\n", "a list instead of an object", "one JSON object a line"),
        ('{"prompt": "a"}\n', "no 'input', which data.input_key asks for", "Known: prompt"),
        ('{"input": "a", "label": 1}\n{"input": "b"}\n', "row 2: no 'label'", "Known: input"),
        ('{"input": [{"role": "user", "content": "a"}], "label": 1}\n', "is a list", "apply_chat_template to true"),
        ('{"input": 5, "label": 1}\n', "'input' is a int", "a text or a list"),
    ],
)
def test_a_row_that_the_training_would_stumble_over_is_found(
    tmp_path: Path, content: str, found: str, remedy: str
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(content)

    (finding,) = check_prompts(build_spec(data={"prompts": str(path), "label_key": "label"}))

    assert found in finding.found
    assert remedy in finding.remedy


def test_bytes_that_are_no_text_are_found(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b'{"input": "\xff"}\n')

    (finding,) = check_prompts(build_spec(data={"prompts": str(path)}))

    assert "row 1: cannot be read" in finding.found


def test_the_probe_is_the_first_prompt_answered_with_its_label(prompts: Path) -> None:
    probe = read_probe(build_spec(data={"prompts": str(prompts), "label_key": "label"}))

    assert probe == {"query": ["0 + 1 = ?1"], "prompts": ["0 + 1 = ?"], "labels": ["1"]}


def test_the_probe_of_a_chat_is_its_last_message(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"input": [{"role": "user", "content": "hello"}]}))

    probe = read_probe(build_spec(data={"prompts": str(path), "apply_chat_template": True}))

    assert probe == {"query": ["hello"], "prompts": ["hello"], "labels": [""]}


@pytest.mark.parametrize("body", [{"rewards": [0.5]}, {"rewards": 1}, {"rewards": [0], "extra_logs": {}}])
def test_a_reward_that_answers_a_number_is_fine(body: Any) -> None:
    assert list(check_reward(REWARD, read_probe(build_spec()), client(scoring(body)))) == []


def test_the_reward_is_asked_for_its_health_and_outside_of_the_run() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={"rewards": [1.0]})

    list(check_reward(REWARD, read_probe(build_spec()), client(answer)))

    assert asked == ["http://reward:8000/health", "http://reward:8000/tidy/get_reward?run=preflight"]


@pytest.mark.parametrize(
    ("body", "status", "expected"),
    [
        ({"rewards": [None]}, 200, "not one finite number"),
        ({"rewards": [0.1, 0.2]}, 200, "not one finite number"),
        ({"rewards": "0.5"}, 200, "not one finite number"),
        ({"score": 1}, 200, "no JSON object that holds 'rewards'"),
        ([1], 200, "no JSON object that holds 'rewards'"),
        ({"error": "unknown reward 'tidy'"}, 404, "status 404"),
        ({}, 500, "status 500"),
    ],
)
def test_an_answer_that_openrlhf_could_not_use_is_found(body: Any, status: int, expected: str) -> None:
    (finding,) = check_reward(REWARD, read_probe(build_spec()), client(scoring(body, status)))

    assert expected in finding.found


def test_a_service_without_a_health_route_is_judged_by_its_answer() -> None:
    def serve_rm(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"rewards": [0.5]}) if request.method == "POST" else httpx.Response(404)

    assert list(check_reward(REWARD, read_probe(build_spec()), client(serve_rm))) == []


def test_an_unhealthy_reward_is_found_and_not_asked() -> None:
    (finding,) = check_reward(REWARD, {}, client(lambda _: httpx.Response(503, text="loading")))

    assert "answers 503: loading" in finding.found


def test_a_reward_that_cannot_be_reached_is_found() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    (finding,) = check_reward(REWARD, {}, client(refuse))

    assert "cannot be reached: ConnectError refused" in finding.found


def test_health_is_asked_at_the_root_of_the_service() -> None:
    assert health_url("https://h:1/a/get_reward?x=1") == "https://h:1/health"


@pytest.mark.parametrize(("version", "found"), [(None, "not installed"), ("0.9.1", "openrlhf 0.9.1 is installed")])
def test_an_openrlhf_that_the_flags_were_not_written_for_is_found(
    monkeypatch: pytest.MonkeyPatch, version: str | None, found: str
) -> None:
    monkeypatch.setattr(preflight_module, "installed_version", lambda: version)

    (finding,) = check_version()

    assert found in finding.found
    assert f"pip install openrlhf=={SUPPORTED_OPENRLHF}" in finding.remedy


def test_everything_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight_module, "installed_version", lambda: SUPPORTED_OPENRLHF)
    spec = build_spec(data={"prompts": "/nowhere.jsonl"}, train={"batch_size": 5000})
    job = render(spec, reward_urls=[REWARD], run_id="r")

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "head":
            return httpx.Response(200, json=cluster(gpus=[0.0, 1.0], cpus=[0.0, 16.0]))
        return httpx.Response(200, json={"rewards": ["bad"]})

    with pytest.raises(ConfigError) as caught:
        preflight(spec, job, dashboard_url=DASHBOARD, transport=httpx.MockTransport(answer))

    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["batches", "model", "prompts", "reward", "cluster"]


def test_a_good_plan_passes(monkeypatch: pytest.MonkeyPatch, prompts: Path) -> None:
    monkeypatch.setattr(preflight_module, "installed_version", lambda: SUPPORTED_OPENRLHF)
    spec = build_spec(model={"path": "owner/name"}, data={"prompts": str(prompts)}, resources={"autoscaled": True})
    job = render(spec, reward_urls=[REWARD], run_id="r")

    preflight(spec, job, dashboard_url=DASHBOARD, transport=httpx.MockTransport(scoring({"rewards": [1.0]})))


def test_a_finding_reads_as_one_line() -> None:
    assert str(Finding("prompts", "p.jsonl is empty", "write some")) == "prompts: p.jsonl is empty; write some"
