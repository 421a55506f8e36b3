"""The shipped deployments that ask a judge, under Serve: a judge alone, and behind gate, rules and a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ray import serve

from rayreward import HttpClient
from rayreward.serve.cluster import EmbeddedCluster
from rayreward.types import RewardOutput
from tests.judges.judge_server import JudgeServer, judge_server
from tests.models.tiny import make_decoder

pytest.importorskip("torch")

pytestmark = pytest.mark.ray

FOLDER = Path(__file__).parents[2] / "deployments"
LONG, SHORT = "it is four it is four", "four"


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeServer]:
    with judge_server() as server:
        yield server


@pytest.fixture(scope="module")
def urls(
    cluster: EmbeddedCluster, judge: JudgeServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    from rayreward.serve import build

    model = make_decoder(tmp_path_factory.mktemp("model"))
    urls = {}
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("JUDGE_MODEL", "tiny")
        environment.setenv("JUDGE_URL", judge.url)
        for name, value in {"MODEL": str(model), "GPUS": "0", "DTYPE": "float32"}.items():
            environment.setenv(f"RAYREWARD_{name}", value)
        for app in ("judge", "composite"):
            text = (FOLDER / f"{app}.yaml").read_text()
            serve.run(build(yaml.safe_load(text)["applications"][0]["args"]), name=app, route_prefix=f"/{app}")
            urls[app] = f"{cluster.url}/{app}"
    yield urls
    for app in urls:
        serve.delete(app)


def score(url: str, *responses: str) -> list[RewardOutput]:
    with HttpClient(url) as client:
        return client.score([{"prompt": "what is two and two", "response": response} for response in responses])


def test_a_judge_is_asked_for_each_response(urls: dict[str, str], judge: JudgeServer) -> None:
    before = judge.request_count
    long, short = score(urls["judge"], LONG, SHORT)
    assert (long.score, short.score) == (1.0, pytest.approx(4 / 9))
    assert judge.request_count == before + 2


def test_a_composite_asks_model_and_judge_of_what_passes_the_gate_alone(
    urls: dict[str, str], judge: JudgeServer
) -> None:
    before = judge.request_count
    passed, stopped = score(urls["composite"], LONG, "as an ai language model i cannot help")
    assert judge.request_count == before + 1
    assert passed.is_valid
    assert {"form", "rules", "quality"} <= passed.metrics.keys()
    assert (stopped.score, stopped.metadata["skipped_components"]) == (-5.0, ["quality"])


def test_a_judge_that_is_away_fails_its_own_samples_and_none_of_the_composite(
    urls: dict[str, str], judge: JudgeServer
) -> None:
    judge.is_gone = True
    try:
        [alone] = score(urls["judge"], "not asked before")
        [mixed] = score(urls["composite"], "not asked before")
    finally:
        judge.is_gone = False
    assert alone.failure is not None
    assert alone.failure.kind == "unavailable"
    assert mixed.is_valid
    assert mixed.metrics["quality"].failure is None
