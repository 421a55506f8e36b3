"""Everything that needs vLLM's engine, in one file: it takes half a minute to start, and is started once."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from rayreward.errors import InvalidInputError, RewardLoadError, ServiceUnavailableError
from rayreward.models.building import build_backend
from rayreward.models.golden import Vocabulary, build_probe
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.settings import ModelSettings
from rayreward.models.verdict import compare
from rayreward.models.vllm_backend import VllmBackend
from tests.models.checkpoints import make_openrlhf_checkpoint
from tests.models.tiny import SPECIAL, WORDS

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.filterwarnings("ignore"),  # of vLLM and what it imports
]

MAX_LENGTH = 256
VOCABULARY = Vocabulary(len(SPECIAL) + len(WORDS), bos=4, eos=5, special=frozenset(range(len(SPECIAL))))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_openrlhf_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def backend(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmBackend]:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")  # and not by XDG_CACHE_HOME: vLLM keeps there what it knows of models
        patch.setattr("rayreward.models.vllm_checkpoint.cache_folder", lambda: folder)
        made = build_backend(
            ModelSettings(str(checkpoint), backend="vllm", device="cpu", max_length=MAX_LENGTH, max_step_tokens=512)
        )
        assert isinstance(made, VllmBackend)
        made.load()
        yield made
        made.close()


def plain_scores(checkpoint: Path, units: list[ModelInput]) -> list[float]:
    """One at a time, by transformers alone."""
    import torch
    from safetensors.torch import load_file
    from transformers import LlamaConfig, LlamaForSequenceClassification

    weights = load_file(checkpoint / "model.safetensors")
    weights["score.weight"] = weights.pop("value_head.weight")
    model = LlamaForSequenceClassification(LlamaConfig.from_pretrained(checkpoint, num_labels=1)).eval()
    model.load_state_dict(weights)
    model.config.pad_token_id = None
    with torch.inference_mode():
        return [float(model(torch.tensor([unit.ids])).logits[0, 0]) for unit in units]


def text(count: int, end: int = 6, *, stride: int = 1) -> ModelInput:
    return ModelInput((4, *((6 + at * stride % 12) for at in range(count)), end, 5), count + 1)


def engine_processes() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [one for one in children if one.name().startswith("VLLM") and one.status() != psutil.STATUS_ZOMBIE]


def test_scores_are_those_of_the_plain_forward(backend: VllmBackend, checkpoint: Path) -> None:
    probe = build_probe(VOCABULARY, max_length=MAX_LENGTH, budget_tokens=4000)
    units = [one.unit for one in probe]
    references = [Reading(raw, (raw - 0.5) / 2.0) for raw in plain_scores(checkpoint, units)]
    verdict = compare(probe, backend.score(units), references, dtype="float32")
    assert verdict.is_met, str(verdict)
    assert verdict.std > 0.1  # a model whose scores were all alike would be met by anything


def test_a_unit_of_just_the_longest_length_is_scored_in_several_steps(backend: VllmBackend) -> None:
    units = [text(MAX_LENGTH - 3, end=end) for end in range(6, 14)]  # 2048 tokens, and a step carries 512
    assert all(isinstance(one, Reading) for one in backend.score(units))
    units = [ModelInput(unit.ids[::-1]) for unit in units]  # no prefix is shared
    assert all(isinstance(one, Reading) for one in backend.score(units))


def test_siblings_share_their_prompt_within_a_call_and_over_calls(backend: VllmBackend) -> None:
    first, *others = backend.score([text(100, end=end, stride=5) for end in range(6, 12)])
    assert isinstance(first, Reading)
    assert first.computed_tokens == 103
    assert all(isinstance(one, Reading) and one.computed_tokens <= 103 - 96 for one in others)
    [again] = backend.score([text(100, stride=5)])
    assert isinstance(again, Reading)
    assert again.computed_tokens < 103
    assert again.raw == pytest.approx(first.raw, abs=1e-5)


def test_what_cannot_be_scored_fails_alone(backend: VllmBackend) -> None:
    strange = [ModelInput(()), ModelInput((6,) * (MAX_LENGTH + 1)), ModelInput((10_000,)), ModelInput((-1,))]
    answers = backend.score([text(3), *strange, text(4)])
    assert [type(one) for one in answers] == [Reading, *[InvalidInputError] * 4, Reading]
    assert "max_length is 256" in str(answers[2])
    assert "another's tokenizer" in str(answers[3])
    assert backend.score([]) == []


def test_calls_overlap_and_each_gets_its_own(backend: VllmBackend) -> None:
    assert backend.steps_overlap
    alone = {count: backend.score([text(count)])[0] for count in range(20, 28)}
    together: dict[int, Any] = {}

    def ask(count: int) -> None:
        together[count] = backend.score([text(count)])[0]

    threads = [threading.Thread(target=ask, args=(count,)) for count in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {count: one.raw for count, one in together.items()} == pytest.approx(
        {count: one.raw for count, one in alone.items() if isinstance(one, Reading)}, abs=1e-5
    )


async def test_a_caller_who_goes_takes_the_request_along(backend: VllmBackend) -> None:
    tasks = [asyncio.create_task(backend.ascore([text(200, end=at % 12 + 6)])) for at in range(64)]
    while backend._engine.client.get_num_unfinished_requests() == 0:  # noqa: ASYNC110 - vLLM has no event for it
        await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    while backend._engine.client.get_num_unfinished_requests() > 0:  # noqa: ASYNC110 - as above
        await asyncio.sleep(0.01)
    assert isinstance((await backend.ascore([text(5)]))[0], Reading)


def test_the_other_build_of_vllm_is_refused_by_name(checkpoint: Path) -> None:
    with pytest.raises(RewardLoadError, match="built for 'cpu'"):
        VllmBackend(str(checkpoint), device="cuda:0").load()


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RewardLoadError, match=r"config\.json"):
        VllmBackend(str(tmp_path), device="cpu").load()


# The last tests end the engine.


def test_a_dead_engine_raises_and_does_not_fail_samples(backend: VllmBackend) -> None:
    [engine] = engine_processes()
    assert backend.lost is None
    os.kill(engine.pid, signal.SIGKILL)
    # The first of them may still have been answered, or wait when the death is noticed: nobody waits for ever.
    with pytest.raises(ServiceUnavailableError, match="has died"):
        backend.score([text(200, end=at % 12 + 6) for at in range(256)])
    with pytest.raises(ServiceUnavailableError):
        backend.score([text(50)])
    assert "has died" in str(backend.lost)


def test_closing_leaves_no_process_and_no_thread_and_is_final(backend: VllmBackend) -> None:
    backend.close()
    backend.load()
    assert isinstance(backend.score([text(5)])[0], Reading)
    assert len(engine_processes()) == 1
    backend.close()
    assert engine_processes() == []
    assert not [one for one in threading.enumerate() if one.name == "vllm-engine"]
    with pytest.raises(ServiceUnavailableError, match="does not run"):
        backend.score([text(5)])
    backend.close()
