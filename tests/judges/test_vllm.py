"""Everything that needs vLLM: its own server by HTTP, and its engine in this process, over one tiny random model."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from rayreward import Sample
from rayreward.errors import DeadlineError, InvalidInputError, RewardLoadError, ServiceUnavailableError
from rayreward.jobs.tiny_model import build_tiny_model
from rayreward.judges.endpoint import Endpoint, Question
from rayreward.judges.guard import INSTRUCTION, fence
from rayreward.judges.http_endpoint import CallLimits, HttpEndpoint
from rayreward.judges.judge import LLMJudge
from rayreward.judges.verdicts import expect
from rayreward.judges.vllm_endpoint import VllmEndpoint

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore"),  # of vLLM and what it imports
    pytest.mark.timeout(800),
]

MAX_LENGTH = 2048
CHOICES = ("1", "2", "3", "4", "5")
VALUES = {choice: float(choice) for choice in CHOICES}
STARTS_WITHIN_S = 600.0

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "TORCH_COMPILE_DISABLE": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judge")
    build_tiny_model(folder)
    config = json.loads((folder / "config.json").read_text())
    config["max_position_embeddings"] = MAX_LENGTH  # a token is a character, and a judge's question has a thousand
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def silent(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without a chat template."""
    folder = tmp_path_factory.mktemp("silent")
    for file in checkpoint.iterdir():
        if file.name != "chat_template.jinja":
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture(scope="module")
def url(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """vLLM's own OpenAI-compatible server, on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(checkpoint), "--host", "127.0.0.1",
        "--port", str(port), "--served-model-name", "tiny", "--dtype", "float32", "--max-model-len", str(MAX_LENGTH),
        "--enforce-eager", "--block-size", "32", "--enable-prompt-tokens-details",
    ]  # fmt: skip
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("w") as output:
        server = subprocess.Popen(command, env={**os.environ, **ENVIRONMENT}, stdout=output, stderr=output)
    try:
        deadline_s = time.monotonic() + STARTS_WITHIN_S
        while not _is_up(f"http://127.0.0.1:{port}/health"):
            assert server.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < deadline_s, log.read_text()[-3000:]
            time.sleep(0.5)  # vLLM announces its start by nothing else
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(url: str) -> AsyncIterator[HttpEndpoint]:
    endpoint = HttpEndpoint("tiny", base_url=url, limits=CallLimits(timeout_s=120, max_tries=1))
    yield endpoint
    await endpoint.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(checkpoint: Path) -> AsyncIterator[VllmEndpoint]:
    endpoint = VllmEndpoint(str(checkpoint), dtype="float32", max_length=MAX_LENGTH, timeout_s=120)
    yield endpoint
    await endpoint.aclose()


@pytest.fixture(scope="module", params=["served", "here"])
def endpoint(request: pytest.FixtureRequest) -> Endpoint:
    return request.getfixturevalue(request.param)


def plain_logprobs(checkpoint: Path, messages: list[dict[str, str]]) -> dict[str, float]:
    """Of the first position of a reply, by transformers alone."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)["input_ids"]
    with torch.inference_mode():
        logits = model(torch.tensor([ids])).logits[0, -1]
    logprobs = torch.log_softmax(logits.float(), dim=-1)
    return {choice: float(logprobs[tokenizer.encode(choice)[0]]) for choice in CHOICES}


def question(text: str = "How good is it?", **fields: Any) -> Question:
    return Question([{"role": "user", "content": text}], **{"max_tokens": 4, **fields})


@pytest.mark.asyncio(loop_scope="module")
async def test_a_question_has_a_reply_and_its_tokens(endpoint: Endpoint) -> None:
    reply = await endpoint.ask(question())
    assert reply.text
    assert (reply.prompt_tokens > 10, reply.completion_tokens) == (True, 4)
    assert (await endpoint.ask(question())).text == reply.text


@pytest.mark.asyncio(loop_scope="module")
async def test_choices_have_their_raw_probabilities_though_none_is_likely(endpoint: Endpoint, checkpoint: Path) -> None:
    reply = await endpoint.ask(question(max_tokens=1, choices=CHOICES))
    wanted = plain_logprobs(checkpoint, [{"role": "user", "content": "How good is it?"}])
    assert {choice: reply.logprobs[choice] for choice in CHOICES} == pytest.approx(wanted, abs=1e-3)
    verdict = expect(reply.logprobs, VALUES, min_mass=0.0)
    assert 1 <= verdict.value <= 5
    assert 0 < (verdict.mass or 0) < 0.5


@pytest.mark.asyncio(loop_scope="module")
async def test_a_reply_follows_its_schema(endpoint: Endpoint) -> None:
    schema = {
        "type": "object",
        "properties": {"score": {"enum": [1, 2, 3]}},
        "required": ["score"],
        "additionalProperties": False,
    }
    reply = await endpoint.ask(question(max_tokens=64, json_schema=schema))
    assert json.loads(reply.text)["score"] in (1, 2, 3)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_asked_before_is_cached(endpoint: Endpoint) -> None:
    rubric = "By this rubric. " * 20
    await endpoint.ask(question(f"{rubric} First."))
    reply = await endpoint.ask(question(f"{rubric} Second."))
    assert 200 < reply.cached_tokens < reply.prompt_tokens


@pytest.mark.asyncio(loop_scope="module")
async def test_too_long_a_question_is_the_samples_fault(endpoint: Endpoint) -> None:
    with pytest.raises(InvalidInputError, match="2048"):
        await endpoint.ask(question("word " * 420))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_judge_scores_many_at_once_as_it_does_each_alone(endpoint: Endpoint, checkpoint: Path) -> None:
    judge = LLMJudge("tiny", "Rate.", verdict="logprobs", min_mass=0.0, endpoint=endpoint)
    samples = [Sample(prompt="2 + 2?", response=str(number)) for number in range(8)]
    outputs = await judge.ascore(samples)
    content = f"{INSTRUCTION}\n\n{judge._filled(samples[3], fence('response', '3'))}\n\n{judge._ask()}"
    wanted = expect(plain_logprobs(checkpoint, [{"role": "user", "content": content}]), VALUES, min_mass=0.0)
    assert [output.failure for output in outputs] == [None] * 8
    assert outputs[3].metadata["verdict"] == pytest.approx(wanted.value, abs=1e-3)
    assert len({output.score for output in outputs}) == 8
    assert outputs[3].metadata["completion_tokens"] == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_a_random_models_opinion_is_none(endpoint: Endpoint) -> None:
    judge = LLMJudge("tiny", "Rate.", verdict="logprobs", max_corrections=0, endpoint=endpoint)
    [output] = await judge.ascore([Sample(response="a")])
    assert output.failure is not None
    assert output.failure.kind == "unparseable"


@pytest.mark.asyncio(loop_scope="module")
async def test_a_model_that_the_server_does_not_have_is_named(url: str) -> None:
    endpoint = HttpEndpoint("another", base_url=url)
    with pytest.raises(ServiceUnavailableError, match=r"answered 404: .*another"):
        await endpoint.ask(question())
    await endpoint.aclose()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_question_that_is_left_leaves_the_engine(here: VllmEndpoint) -> None:
    leaving = asyncio.create_task(here.ask(question(max_tokens=450)))
    await here.ask(question("another"))
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (await here.ask(question("and another"))).text


@pytest.mark.asyncio(loop_scope="module")
async def test_choices_that_are_no_single_token_are_refused(here: VllmEndpoint) -> None:
    with pytest.raises(InvalidInputError, match="writes '10' as 2 tokens"):
        await here.ask(question(choices=("1", "10")))


@pytest.mark.asyncio(loop_scope="module")
async def test_a_deadline_is_kept(here: VllmEndpoint) -> None:
    limit_s, here._timeout_s = here._timeout_s, 0.001
    try:
        with pytest.raises(DeadlineError, match=r"within 0\.001 s"):
            await here.ask(question(max_tokens=400))
    finally:
        here._timeout_s = limit_s


def test_a_folder_that_is_no_judge_is_refused(tmp_path: Path, silent: Path) -> None:
    with pytest.raises(RewardLoadError, match="no tokenizer that can be loaded"):
        VllmEndpoint(str(tmp_path)).load()
    with pytest.raises(RewardLoadError, match="has no chat template"):
        VllmEndpoint(str(silent)).load()


@pytest.mark.asyncio(loop_scope="module")
async def test_closing_leaves_no_thread(here: VllmEndpoint) -> None:
    assert here.is_loaded
    await here.aclose()
    assert not [thread for thread in threading.enumerate() if thread.name == "vllm-engine"]
