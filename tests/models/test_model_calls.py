"""How a reward model treats its callers, over a backend that the test steps by hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from rayreward import Sample
from rayreward.errors import ConfigError, InvalidInputError, RewardLoadError
from rayreward.models import reward_model
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.reward_model import RewardModel
from rayreward.models.step_queue import StepQueue
from rayreward.router.facts import RewardFacts
from rayreward.types import FailureKind, RewardOutput
from rayreward.workers import build_runner
from tests.models.scripted import ScriptedBackend, reading

PATIENCE_S = 30


class Words:
    """A template that reads numbers: its ids; a word is no number and cannot be read."""

    fingerprint = "words"

    def encode(self, sample: Sample) -> ModelInput:
        if sample.prompt == "What is two and two?":
            return ModelInput((4,))  # what a model is warmed up with
        if not sample.response:
            raise InvalidInputError("the sample's text has no token to score")
        ids = tuple(map(int, sample.response.split()))
        return ModelInput(ids, truncated_tokens=max(0, len(ids) - 5))


Make = Callable[..., tuple[RewardModel, ScriptedBackend]]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(**script: Any) -> tuple[RewardModel, ScriptedBackend]:
        backend = ScriptedBackend(**script)
        monkeypatch.setattr(reward_model, "build_backend", lambda settings, tell: backend)
        monkeypatch.setattr(reward_model, "build_template", lambda settings: Words())
        return RewardModel("somewhere", device="cpu"), backend

    return make


def said(outputs: list[RewardOutput]) -> list[float | str | None]:
    return [output.failure.kind.value if output.failure else output.score for output in outputs]


def samples(*texts: str) -> list[Sample]:
    return [Sample(response=text) for text in texts]


def calls_after_start(backend: ScriptedBackend) -> list[list[int]]:
    """The last ids of each call, without the one that warms up."""
    return [[one.ids[-1] for one in call] for call in backend.calls[1:]]


async def until_started(backend: ScriptedBackend) -> None:
    assert await asyncio.to_thread(backend.started.acquire, timeout=PATIENCE_S)


async def until_waiting(model: RewardModel, count: int) -> None:
    queue = model._queue
    assert isinstance(queue, StepQueue)
    async with asyncio.timeout(PATIENCE_S):
        while queue.waiting_count < count:  # noqa: ASYNC110 - it is filled by threads
            await asyncio.sleep(0)


def test_each_sample_is_answered_in_order_and_one_that_cannot_be_read_fails_alone(make: Make) -> None:
    model, _ = make()
    outputs = model.score(samples("1", "", "word", "2 3"))
    assert said(outputs) == [1.0, "invalid_input", "error", 3.0]
    assert outputs[3].metadata == {"tokens": 2, "raw_score": 3.0}


def test_what_the_model_says_is_shown_whole_and_the_total_is_its_own(make: Make) -> None:
    def script(unit: ModelInput) -> Reading:
        return Reading(raw=4.0, score=1.5, heads={"helpful": 0.5, "brief": -2.0}, steps=(0.25, 0.75))

    model, _ = make(script=script)
    [output] = model.score(samples("1 2 3 4 5 6 7"))
    assert output.score == 1.5
    assert output.metadata == {"tokens": 7, "truncated_tokens": 2, "raw_score": 4.0}
    assert {name: (one.score, one.weight) for name, one in output.metrics.items()} == {
        "helpful": (0.5, 0.0),
        "brief": (-2.0, 0.0),
    }
    assert output.step_rewards == (0.25, 0.75)


@pytest.mark.parametrize(
    "answer",
    [Reading(float("nan"), float("nan")), Reading(1.0, 1.0, heads={"helpful": float("inf")})],
)
def test_what_is_no_number_is_no_score(make: Make, answer: Reading) -> None:
    model, _ = make(script=lambda unit: answer)
    outputs = model.score(samples("1"))
    assert said(outputs) == ["invalid_output"]
    assert outputs[0].metadata["tokens"] == 1


async def test_calls_that_come_together_share_a_step(make: Make) -> None:
    model, backend = make(held=True)
    backend.go.release()  # the warming up
    runner = build_runner(model)
    await runner.start()
    await until_started(backend)
    first = asyncio.create_task(runner.run(samples("1")))
    await until_started(backend)
    others = [asyncio.create_task(runner.run(samples(*texts))) for texts in (("2", "3"), ("4",))]
    await until_waiting(model, 3)
    backend.go.release(2)
    assert [said(await call) for call in (first, *others)] == [[1.0], [2.0, 3.0], [4.0]]
    assert [sorted(call) for call in calls_after_start(backend)] == [[1], [2, 3, 4]]
    assert not model.scores_in_turn
    await runner.stop()
    assert backend.closed_count == 1


async def test_a_caller_that_leaves_takes_its_samples_along(make: Make) -> None:
    model, backend = make(held=True)
    backend.go.release()
    await asyncio.to_thread(model.load)
    await until_started(backend)
    first = asyncio.create_task(model.ascore(samples("1")))
    await until_started(backend)
    leaving, staying = (asyncio.create_task(model.ascore(samples(text))) for text in ("2", "3"))
    await until_waiting(model, 2)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    backend.go.release(2)
    assert (said(await first), said(await staying)) == ([1.0], [3.0])
    assert calls_after_start(backend) == [[1], [3]]
    assert model.step_stats.gone_count == 1
    model.unload()


def test_a_model_that_is_lost_says_so_and_scores_nothing_more(make: Make) -> None:
    model, backend = make()
    model.load()
    assert model.serving_condition.lost is None
    backend.dies_with = RuntimeError("CUDA error: an illegal memory access was encountered")
    outputs = model.score(samples("1", "2"))
    assert said(outputs) == ["unavailable", "unavailable"]
    assert "CUDA error" in str(model.serving_condition.lost)
    assert RewardFacts.of(model, "v").crash_loop == model.serving_condition.lost
    assert said(model.score(samples("3"))) == ["unavailable"]
    model.unload()


def test_its_condition_follows_its_loading(make: Make) -> None:
    model, backend = make(held=True)
    assert model.serving_condition.doing is None
    loading = threading.Thread(target=model.load)
    loading.start()
    assert backend.started.acquire(timeout=PATIENCE_S)
    assert model.serving_condition.doing == "warming up"
    backend.go.release()
    loading.join(PATIENCE_S)
    condition = model.serving_condition
    assert (condition.doing, condition.step_tokens) == (None, 8)
    assert condition.found["load_s"] >= 0.0
    assert RewardFacts.of(model, "v").call_tokens == 32
    model.unload()


def test_a_model_that_cannot_compute_is_refused_at_its_start(make: Make) -> None:
    model, backend = make()
    backend.dies_with = RuntimeError("no kernel image is available")
    with pytest.raises(RewardLoadError, match="'somewhere' is loaded and cannot compute: no kernel image"):
        model.load()
    assert backend.closed_count == 1
    model, _ = make(script=lambda unit: MemoryError("a unit does not fit"))
    with pytest.raises(RewardLoadError, match="does not fit"):
        model.load()


def test_it_is_loaded_once_and_again_after_it_was_unloaded(make: Make) -> None:
    model, backend = make()
    threads = [threading.Thread(target=model.load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert backend.loaded_count == 1
    model.unload()
    model.unload()
    assert backend.closed_count == 1
    assert said(model.score(samples("1"))) == [1.0]
    assert backend.loaded_count == 2
    assert said(cloudpickle.loads(cloudpickle.dumps(model)).score(samples("5"))) == [5.0]


def test_a_deadline_is_the_calls_and_its_samples_time_out(make: Make) -> None:
    model, backend = make()
    model.timeout_s = 1e-9
    outputs = model.score(samples("1", "2"))
    assert [output.failure and output.failure.kind for output in outputs] == [FailureKind.TIMEOUT] * 2
    assert calls_after_start(backend) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_lenght": 3}, "did you mean 'max_length'"),
        ({"backend": "tpu"}, "backend='tpu'"),
    ],
)
def test_a_wrong_option_is_refused_at_once(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        RewardModel("anywhere", **options)


def test_its_version_is_of_all_that_changes_scores() -> None:
    changes: list[dict[str, Any]] = [
        {}, {"dtype": "bfloat16"}, {"normalize": False}, {"mean": 1.0}, {"appends_eos": True},
        {"chat_template": "{{ messages }}"}, {"head": "step", "steps_as_score": "min"}, {"quantization": "4bit"},
        {"attention": "eager"}, {"backend": "plain"}, {"max_length": 8}, {"too_long": "cut"},
    ]  # fmt: skip
    versions = [RewardModel("somewhere", **change).version for change in changes]
    assert len(set(versions)) == len(changes)
    alike: list[dict[str, Any]] = [{"device": "cuda"}, {"max_step_tokens": 64}]
    assert {RewardModel("somewhere", **change).version for change in alike} == {versions[0]}


def test_a_template_in_a_file_is_known_by_its_content(tmp_path: Any) -> None:
    file = tmp_path / "chat.jinja"
    versions = []
    for text in ("{{ one }}", "{{ two }}"):
        file.write_text(text)
        versions.append(RewardModel("somewhere", chat_template=str(file)).version)
    assert versions[0] != versions[1]
    assert versions[1] == RewardModel("somewhere", chat_template="{{ two }}").version


def test_the_scripted_backend_reads_the_last_id() -> None:
    assert reading(ModelInput((1, 2))).score == 2.0
