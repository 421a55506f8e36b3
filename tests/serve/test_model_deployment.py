"""A shipped deployment of a reward model, with a tiny one, without a GPU, under Serve."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from ray import serve

from rayreward import HttpClient, Sample
from rayreward.rewards import RewardModel
from rayreward.serve.cluster import EmbeddedCluster
from tests.live import served_by_command
from tests.models.tiny import make_decoder

pytest.importorskip("torch")

pytestmark = pytest.mark.ray

APP = "models"
FILE = Path(__file__).parents[2] / "deployments" / "reward_model.yaml"
START_WITHIN_S = 120.0


class Started:
    """The service, and what it said of itself while it started."""

    def __init__(self, url: str, model: Path, said: list[dict[str, Any]]) -> None:
        self.url, self.model, self.said = url, model, said


@pytest.fixture(scope="module")
def started(cluster: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    from rayreward.serve import build

    model = make_decoder(tmp_path_factory.mktemp("model"))
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {"MODEL": str(model), "GPUS": "0", "DTYPE": "float32", "REPLICAS": "2"}.items():
            environment.setenv(f"RAYREWARD_{name}", value)
        app = build(yaml.safe_load(FILE.read_text())["applications"][0]["args"])
    url = f"{cluster.url}/{APP}"
    running = threading.Thread(target=serve.run, args=[app], kwargs={"name": APP, "route_prefix": f"/{APP}"})
    running.start()
    said = until_ready(url)
    running.join()
    yield Started(url, model, said)
    serve.delete(APP)


def until_ready(url: str) -> list[dict[str, Any]]:
    """What ``/ready`` said until it was."""
    said: list[dict[str, Any]] = []
    deadline_s = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline_s:
        answer = httpx.get(f"{url}/ready", trust_env=False, timeout=30.0)
        if answer.headers.get("content-type", "").startswith("application/json"):
            said.append(answer.json())
            if answer.status_code == 200:
                return said
        time.sleep(0.05)
    raise AssertionError(f"not ready within {START_WITHIN_S} s: {said[-1:]}")


def test_while_it_starts_it_says_what_it_is_at(started: Started) -> None:
    doings = [answer["starts"]["quality"]["doing"] for answer in started.said if answer["starts"]]
    assert "loading weights" in doings, doings
    assert started.said[-1] == {"status": "ready", "starting": [], "starts": {}}
    [info] = httpx.get(f"{started.url}/v1/rewards", trust_env=False).json()["rewards"]
    assert info["state"] == "ready"
    assert info["extra"]["load_s"] > 0.0


def test_single_queries_are_scored_as_the_model_scores_them_alone(started: Started) -> None:
    texts = [f"<s> what is two </s> {' '.join('abcdefgh'[: 1 + number % 8])} </s>" for number in range(48)]

    async def ask() -> list[float]:
        async with httpx.AsyncClient(timeout=60.0, trust_env=False) as http:
            bodies = [{"query": [text], "prompts": ["<s> what is two </s>"], "labels": [""]} for text in texts]
            answers = await asyncio.gather(*(http.post(f"{started.url}/get_reward", json=body) for body in bodies))
        assert [answer.json()["extra_logs"]["reward_valid"] for answer in answers] == [[1.0]] * len(texts)
        return [answer.json()["rewards"][0] for answer in answers]

    alone = RewardModel(str(started.model), device="cpu")
    expected = [alone.score([Sample(response="x", metadata={"query": text})])[0].score for text in texts]
    alone.unload()
    assert asyncio.run(ask()) == pytest.approx(expected, abs=1e-4)


def test_one_that_cannot_be_read_fails_alone(started: Started) -> None:
    with HttpClient(started.url) as client:
        outputs = client.score([{"prompt": "what is two", "response": "four"}, {"prompt": "", "response": "a " * 9000}])
    assert outputs[0].is_valid
    assert outputs[0].metadata["raw_score"] == outputs[0].score
    assert outputs[1].failure is not None
    assert outputs[1].failure.kind == "invalid_input"


def test_the_readmes_command_serves_a_model_by_the_environment_that_it_is_typed_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme = " ".join((FILE.parents[1] / "README.md").read_text().split())
    assert "`RAYREWARD_MODEL=folder rayreward serve deployments/reward_model.yaml`" in readme
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    environment = {"RAYREWARD_MODEL": str(make_decoder(tmp_path)), "RAYREWARD_GPUS": "0", "RAYREWARD_DTYPE": "float32"}
    with (
        served_by_command(str(FILE), cwd=FILE.parents[1], environment=environment) as port,
        HttpClient(f"http://127.0.0.1:{port}") as client,
    ):
        [output] = client.score([{"prompt": "what is two and two", "response": "four"}])
    assert output.is_valid
    assert "raw_score" in output.metadata
