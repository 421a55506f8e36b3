from __future__ import annotations

import pickle
from typing import Any, get_args

import pytest
from rouge_score.rouge_scorer import RougeScorer

from rayreward.errors import ConfigError
from rayreward.rewards import SimilarityReward
from rayreward.rewards.similarity import Metric
from rayreward.types import FailureKind

METRICS = get_args(Metric)
SENTENCES = ["the cat sat on the mat", "on the mat there sat a cat", "the the the", "Cats, sitting.", "", "ein Hund"]


@pytest.mark.parametrize("metric", METRICS)
def test_the_same_text_is_one_and_another_is_near_nothing(metric: Metric) -> None:
    reward = SimilarityReward(metric)
    assert reward(response="the cat sat on the mat", label="the cat sat on the mat").score == pytest.approx(1.0)
    assert reward(response="xyz", label="the cat sat on the mat").score == pytest.approx(0.0, abs=0.05)
    assert reward(response="", label="the cat").score == 0.0
    assert 0.0 < reward(response="the cat sat on a log", label="the cat sat on the mat").score < 1.0


@pytest.mark.parametrize(
    ("metric", "response", "label", "score"),
    [
        ("ratio", "abcd", "abxy", 0.5),
        ("levenshtein", "abcd", "abxd", 0.75),
        ("token_set", "b a and more", "a b", 1.0),
        ("rouge1", "a b c d", "a b x y", 0.5),
        ("rouge2", "a b c", "a b d", 0.5),
        ("rougeL", "a x b c", "a b c d", 0.75),
    ],
)
def test_known_values(metric: Metric, response: str, label: str, score: float) -> None:
    assert SimilarityReward(metric)(response=response, label=label).score == pytest.approx(score)


@pytest.mark.parametrize("response", SENTENCES)
@pytest.mark.parametrize("reference", SENTENCES)
def test_rouge_l_is_that_of_rouge_score(response: str, reference: str) -> None:
    expected = RougeScorer(["rougeL"]).score(reference, response)["rougeL"].fmeasure
    assert SimilarityReward("rougeL")(response=response, label=reference).score == pytest.approx(expected)


def test_the_nearest_reference_counts() -> None:
    output = SimilarityReward("ratio")(response="abcd", label=["wxyz", "abcd", "abxx"])
    assert (output.score, output.reason) == (1.0, "ratio 1.000 to reference 2 of 3")


def test_a_long_tail_is_not_cut_off_and_forgiven() -> None:
    reward = SimilarityReward("token_set", max_chars=10)
    assert reward(response="a b" + " noise" * 10, label="a b").score == 0.0


@pytest.mark.parametrize("label", [None, 3, [], ["a", 3], ["a"] * 65, {"a": 1}, "x" * 20_001])
def test_without_a_reference_nothing_is_scored(label: Any) -> None:
    failure = SimilarityReward()(response="a", label=label).failure
    assert failure is not None
    assert failure.kind is FailureKind.INVALID_INPUT


@pytest.mark.parametrize("options", [{"metric": "meteor"}, {"max_chars": 0}, {"max_chars": True}])
def test_what_cannot_work_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"SimilarityReward\("):
        SimilarityReward(**options)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("part", [" ", "<", "{", "a ", "a", "\ud800", "\x00", "1."])
def test_the_longest_texts_are_no_hang(metric: Metric, part: str) -> None:
    reward = SimilarityReward(metric)
    text = part * (20_000 // len(part))
    assert reward(response=text, label=[text, "the cat"]).is_valid
    assert reward(response=part * 1_000_000, label="the cat").score == 0.0


def test_it_travels() -> None:
    reward = SimilarityReward("bleu")
    reward.load()
    assert pickle.loads(pickle.dumps(reward)).version == reward.version
