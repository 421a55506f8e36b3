import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from rayreward.jobs.preflight.findings import Finding
from rayreward.jobs.preflight.probes import Probe
from rayreward.jobs.preflight.reward import check_url
from rayreward.jobs.trl.spec import TrlSpec
from rayreward.router.config import OpenRLHFPolicy
from tests.jobs.conftest import build_spec
from tests.live import live_service

URL = "http://reward:8000/tidy/get_reward?run=mine"
PROBES = [Probe("2 + 2? ", "4", "4"), Probe("2 + 2? ", "I do not know.", "4")]
TRL = TrlSpec.parse({"name": "t", "model": {"path": "a/b"}, "data": {"prompts": "a/c"}}, source="test")

Answer = Callable[[httpx.Request], httpx.Response]


def check(answer: Answer, spec: Any = None) -> list[Finding]:
    http = httpx.Client(transport=httpx.MockTransport(answer))
    return list(check_url(URL, spec or build_spec(), PROBES, http))


def answering(*bodies: Any, status: int = 200) -> Answer:
    """A healthy service that answers with the given bodies, by whether the response is wrong."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            return httpx.Response(200)
        is_wrong = "do not know" in json.loads(request.content)["query"][0]
        return httpx.Response(status, json=bodies[-1 if is_wrong else 0])

    return answer


def logged(score: bool, **logs: Any) -> dict[str, Any]:
    return {"rewards": [score], "extra_logs": logs}


@pytest.mark.parametrize(
    "bodies",
    [
        ({"rewards": [0.5]}, {"rewards": [0.0]}),
        ({"rewards": 1}, {"rewards": 0}),
        (logged(True, length=3, kind=[1.0]), logged(False, length=1, kind=[0.0])),
        ({"rewards": [1.0], "extra_logs": None}, {"rewards": [0.0]}),
    ],
)
def test_what_openrlhf_can_use_is_fine(bodies: tuple[Any, ...]) -> None:
    assert check(answering(*bodies)) == []


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"rewards": [0.1, 0.2]}, "not one finite number"),
        ({"rewards": "0.5"}, "not one finite number"),
        ([1], "no JSON object that holds 'rewards'"),
        ({"rewards": [1.0], "extra_logs": {"kind": "good"}}, "extra_logs 'kind': 'good', which is not one number"),
        ({"rewards": [1.0], "extra_logs": {"kind": [1, 2]}}, "extra_logs 'kind': [1, 2], which is not one number"),
        ({"rewards": [1.0], "extra_logs": [1]}, "extra_logs that are a list"),
    ],
)
def test_what_openrlhf_cannot_use_is_found(body: Any, expected: str) -> None:
    (finding,) = check(answering(body))

    assert expected in finding.found


def test_an_answer_of_another_content_type_is_found() -> None:
    (finding,) = check(lambda request: httpx.Response(200, text='{"rewards": [1.0]}'))

    assert "content type 'text/plain; charset=utf-8' instead of application/json" in finding.found


def test_answers_of_different_shapes_are_found() -> None:
    (finding,) = check(answering({"rewards": [1.0]}, {"rewards": 0.0}))

    assert "some samples with a number and some with a list of one" in finding.found


def test_a_service_without_a_health_route_is_judged_by_its_answers() -> None:
    scored = answering({"rewards": [1.0]}, {"rewards": [0.0]})

    assert check(lambda request: httpx.Response(404) if request.method == "GET" else scored(request)) == []


def test_the_reward_is_asked_outside_of_the_training_s_run() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answering({"rewards": [1.0]}, {"rewards": [0.0]})(request)

    check(answer)

    assert asked == ["http://reward:8000/health", *["http://reward:8000/tidy/get_reward?run=preflight"] * 2]


def test_trl_asks_on_the_native_route(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYREWARD_TOKEN", "secret")
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"outputs": [{"score": 1.0}, {"score": 0.0, "failure": None}]})

    assert check(answer, TRL) == []
    assert str(asked[-1].url) == "http://reward:8000/tidy"
    assert asked[-1].headers["authorization"] == "Bearer secret"
    assert json.loads(asked[-1].content)["run"] == "preflight"


def test_a_native_route_that_is_none_is_found() -> None:
    (finding,) = check(lambda _: httpx.Response(404, json={"error": "UnknownRewardError"}), TRL)

    assert "status 404" in finding.found
    assert "reward.name" in finding.remedy


def right(response: str, label: str, **_: Any) -> float:
    return float(label in response)


def choosy(**_: Any) -> float:
    raise ValueError("no such thing")


def test_why_a_router_holds_its_answers_back_is_asked_on_its_native_route() -> None:
    def hold_back(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/get_reward"):
            raise httpx.ReadTimeout("timed out", request=request)
        failure = {"kind": "crashed", "message": "out of memory"}
        return httpx.Response(200, json={"outputs": [{"score": None, "failure": failure}]})

    (finding,) = check(hold_back)

    assert "scored none of 2 real prompts: crashed: out of memory" in finding.found


@pytest.mark.parametrize("spec", [build_spec(), TRL])
def test_a_real_service_is_understood(spec: Any) -> None:
    rewards, policy = {"right": right, "choosy": choosy}, OpenRLHFPolicy(sibling_wait_s=0.0)
    with live_service(rewards, openrlhf=policy) as url, httpx.Client(trust_env=False) as http:
        assert list(check_url(f"{url}/right/get_reward", spec, PROBES, http)) == []
        (finding,) = check_url(f"{url}/choosy/get_reward", spec, PROBES, http)
        (unknown,) = check_url(f"{url}/rihgt/get_reward", spec, PROBES, http)

    assert "scored none of 2 real prompts: error: " in finding.found
    assert "no such thing" in finding.found
    assert "did you mean 'right'" in unknown.found
