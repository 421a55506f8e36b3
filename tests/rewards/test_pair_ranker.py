from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rayreward import RewardOutput, Sample
from rayreward.errors import ConfigError, InvalidInputError
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.step_queue import StepQueue
from rayreward.rewards import PairRanker
from tests.models.scripted import ScriptedBackend
from tests.models.tiny import make_encoder
from tests.rewards.tiny_pair import make_pair_model, plain_logit


class Texts:
    """Encodes a pair as the lengths of its responses."""

    def encode_samples(self, first: Sample, second: Sample) -> ModelInput:
        if "unreadable" in (first.response, second.response):
            raise InvalidInputError("a text of the pair spells '<|source|>'")
        return ModelInput((len(first.response), len(second.response)))


class Ranker(PairRanker):
    """A pair ranker over a backend of a test's own."""

    def __init__(self, backend: ScriptedBackend, **options: Any) -> None:
        super().__init__("tiny", **options)
        self._backend = backend

    def _loaded(self) -> StepQueue:
        self._template = Texts()  # type: ignore[assignment]
        self._backend.load()
        return StepQueue(self._backend)


@contextmanager
def ranker(logit: Callable[[int, int], float | Exception], **options: Any) -> Iterator[tuple[Ranker, ScriptedBackend]]:
    def script(unit: ModelInput) -> Reading | Exception:
        said = logit(*unit.ids)
        return said if isinstance(said, Exception) else Reading(said, said)

    backend = ScriptedBackend(script=script)
    reward = Ranker(backend, **options)
    yield reward, backend
    reward.unload()


def group(*responses: str) -> list[Sample]:
    return [Sample(prompt="q", response=text, group_id="g", group_size=len(responses)) for text in responses]


def said(outputs: Sequence[RewardOutput]) -> list[Any]:
    return [
        output.failure.kind.value if output.failure else pytest.approx(output.score, abs=1e-4) for output in outputs
    ]


def by_length(one: int, other: int) -> float:
    return float(one - other)


async def test_scores_are_mean_logits_over_the_group() -> None:
    with ranker(by_length) as (reward, backend):
        outputs = await reward.ascore(group("a", "aaa", "aaaaa"))
    assert said(outputs) == [-2.0, 0.0, 2.0]
    assert len({unit.ids for call in backend.calls for unit in call}) == 6
    assert outputs[0].metadata["comparisons"] == 2
    assert (backend.loaded_count, backend.closed_count) == (1, 1)


async def test_a_liking_for_a_place_falls_out_and_is_told() -> None:
    with ranker(lambda one, other: one - other + 10.0) as (reward, _):
        outputs = await reward.ascore(group("a", "aaa", "aaaaa"))
    assert said(outputs) == [-2.0, 0.0, 2.0]
    assert {output.metrics["orders_disagree"].score for output in outputs} == {1.0}
    assert outputs[0].metadata["first_place_share"] > 0.99


async def test_strong_logits_stay_what_they_are() -> None:
    with ranker(lambda one, other: 1000.0 * (one - other)) as (reward, _):
        assert said(await reward.ascore(group("a", "aa"))) == [-500.0, 500.0]


async def test_large_groups_are_fitted_to_a_part_of_the_pairs() -> None:
    with ranker(by_length, opponents=4) as (reward, backend):
        outputs = await reward.ascore(group(*("a" * size for size in range(1, 13))))
    assert said(outputs) == [size - 6.5 for size in range(1, 13)]
    assert sum(map(len, backend.calls)) == 12 * 4


async def test_twins_are_one_candidate() -> None:
    with ranker(by_length) as (reward, backend):
        outputs = await reward.ascore(group("a", "aaaa", "a"))
    assert outputs[0] == outputs[2]
    assert said(outputs) == [-1.0, 2.0, -1.0]
    assert sum(map(len, backend.calls)) == 2


async def test_a_response_that_cannot_be_read_fails_alone() -> None:
    with ranker(by_length) as (reward, _):
        outputs = await reward.ascore(group("a", "unreadable", "aaa"))
    assert said(outputs) == [-1.0, "invalid_input", 1.0]


async def test_a_pair_that_the_model_cannot_score_costs_an_opponent() -> None:
    with ranker(lambda one, other: ValueError("odd") if {one, other} == {1, 2} else one - other) as (reward, _):
        outputs = await reward.ascore(group("a", "aa", "aaa", "aaaa"))
    assert said(outputs) == [-1.5, -0.5, 0.5, 1.5]
    assert [output.metadata["compared"] for output in outputs] == [2, 2, 3, 3]


async def test_a_model_that_is_lost_is_unavailable_and_says_so() -> None:
    with ranker(by_length) as (reward, backend):
        backend.dies_with = MemoryError("device")
        assert said(await reward.ascore(group("a", "aa"))) == ["unavailable", "unavailable"]
        assert reward.serving_condition.lost is not None


def test_what_is_loaded_does_not_travel() -> None:
    with ranker(by_length) as (reward, _):
        reward.load()
        assert reward.serving_condition.step_tokens == 8
        state = pickle.loads(pickle.dumps({**reward.__getstate__(), "_backend": None}))
    assert "_queue" not in state


@pytest.mark.parametrize(
    ("options", "message"),
    [({"opponents": 3}, "even"), ({"min_compared": 0}, "share"), ({"dtyp": "float32"}, "did you mean 'dtype'")],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PairRanker("tiny", **options)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    return make_pair_model(tmp_path_factory.mktemp("pair"))


class TestPairRM:
    """With a real checkpoint, tiny and random, through template, backend and head."""

    async def test_scores_are_those_of_the_plain_forward_pass(self, checkpoint: Path) -> None:
        texts = ["it is four", "two", "a b c d e f", "what is it"]
        samples = [Sample(prompt="what is two", response=text) for text in texts]
        reward = PairRanker(str(checkpoint))
        outputs = await reward.ascore(samples)
        reward.unload()

        def margin(one: str, other: str) -> float:
            said = [plain_logit(checkpoint, "what is two", *order) for order in ((one, other), (other, one))]
            return (said[0] - said[1]) / 2

        wanted = [sum(margin(one, other) for other in texts if other != one) / len(texts) for one in texts]
        assert [output.score for output in outputs] == pytest.approx(wanted, abs=1e-4)
        assert len({round(score, 3) for score in wanted}) == 4

    async def test_the_order_and_the_company_of_groups_change_nothing(self, checkpoint: Path) -> None:
        reward = PairRanker(str(checkpoint))
        group = [Sample(prompt="what", response=text) for text in ("a b", "four", "it is")]
        others = [Sample(prompt="is it", response=text) for text in ("two", "c d e f g h")]
        alone = [output.score for output in await reward.ascore(group)]
        mixed = await reward.ascore([group[2], others[0], group[0], others[1], group[1]])
        reward.unload()
        assert [mixed[at].score for at in (2, 4, 0)] == pytest.approx(alone, abs=1e-4)

    async def test_a_checkpoint_without_a_pair_head_is_refused(self, tmp_path: Path) -> None:
        [output] = await PairRanker(str(make_encoder(tmp_path))).ascore([Sample(response="a")])
        assert output.failure is not None
        assert "pair" in output.failure.message

    def test_the_version_is_the_weights_too(self, checkpoint: Path, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(checkpoint, copy)
        same = PairRanker(str(copy)).version
        (copy / "config.json").write_text("{}")
        assert PairRanker(str(copy)).version != same
        assert PairRanker(str(checkpoint), opponents=4).version != PairRanker(str(checkpoint)).version
