"""The shipped deployment of a reward model on vLLM's engine, without a GPU, under Serve."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from ray import serve

from rayreward import HttpClient, Sample
from rayreward.rewards import RewardModel
from rayreward.serve.cluster import EmbeddedCluster
from tests import victims
from tests.models.checkpoints import make_openrlhf_checkpoint

pytest.importorskip("torch")

pytestmark = [pytest.mark.ray, pytest.mark.vllm]

APP = "reward-model-vllm"
FILE = Path(__file__).parents[2] / "deployments" / "reward_model_vllm.yaml"
ENVIRONMENT = {"RAYREWARD_GPUS": "0", "RAYREWARD_PARALLEL": "1", "RAYREWARD_DTYPE": "float32"}  # as the file says


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_openrlhf_checkpoint(tmp_path_factory.mktemp("checkpoint"), max_position_embeddings=8192)


@pytest.fixture(scope="module")
def url(cluster: EmbeddedCluster, checkpoint: Path) -> Iterator[str]:
    from rayreward.serve import build

    with pytest.MonkeyPatch.context() as environment:
        for name, value in {"RAYREWARD_MODEL": str(checkpoint), **ENVIRONMENT}.items():
            environment.setenv(name, value)
        app = build(yaml.safe_load(FILE.read_text())["applications"][0]["args"])
    serve.run(app, name=APP, route_prefix=f"/{APP}")
    yield f"{cluster.url}/{APP}"
    serve.delete(APP)


def test_scores_are_the_models_own_and_one_that_cannot_be_read_fails_alone(url: str, checkpoint: Path) -> None:
    prompts = ["what is two", "what is three"]
    asked = [
        {"prompt": prompt, "response": " ".join("abcdefgh"[:count])} for prompt in prompts for count in range(1, 9)
    ]
    with HttpClient(url) as client:
        outputs = client.score([*asked, {"prompt": "", "response": "a " * 9000}])
    plain = RewardModel(str(checkpoint), device="cpu", dtype="float32")
    alone = [plain.score([Sample(**sample)])[0] for sample in asked]
    plain.unload()
    assert [output.score for output in outputs[:-1]] == pytest.approx([output.score for output in alone], abs=1e-4)
    assert outputs[-1].failure is not None
    assert outputs[-1].failure.kind == "invalid_input"


def test_an_engine_that_dies_at_rest_takes_its_replica_along_and_the_next_sample_waits_for_another(url: str) -> None:
    [replica] = victims.replicas("quality", app=APP)
    [engine] = [one for one in replica.children(recursive=True) if one.name().startswith("VLLM")]
    engine.kill()
    replica.wait(60)
    with HttpClient(url) as client:
        [output] = client.score([{"prompt": "what is two", "response": "h g"}], timeout_s=240)  # not asked before
    assert output.is_valid
    assert victims.replicas("quality", app=APP)[0].pid != replica.pid
