from __future__ import annotations

import random
import statistics

import pytest

from rayreward import Sample
from rayreward.judges.judge import LLMJudge
from rayreward.judges.length_bias import MIN_PAIRS, LengthBias
from rayreward.judges.scripted import ScriptedEndpoint


def test_it_is_pearsons_correlation_far_from_zero_too() -> None:
    draw = random.Random(0)
    lengths = [1e6 + draw.random() for _ in range(500)]
    scores = [length - 1e6 + draw.random() for length in lengths]
    bias = LengthBias()
    for length, score in zip(lengths, scores, strict=True):
        bias.add(length, score)
    assert bias.correlation == pytest.approx(statistics.correlation(lengths, scores), abs=1e-6)


def test_few_or_equal_pairs_say_nothing() -> None:
    few, equal = LengthBias(), LengthBias()
    for number in range(MIN_PAIRS - 1):
        few.add(number, number)
    for number in range(2 * MIN_PAIRS):
        equal.add(number, 0.5)
    assert (few.correlation, equal.correlation) == (None, None)


async def test_a_judge_that_pays_by_the_word_shows() -> None:
    def by_the_word(question: object) -> str:
        return f"Score: {min(10, 1 + str(question).count('word'))}"

    judge = LLMJudge("m", "Rate.", endpoint=ScriptedEndpoint(by_the_word))
    await judge.ascore([Sample(response="word " * (number % 8) + str(number)) for number in range(40)])
    assert judge.length_bias.count == 40
    assert (judge.length_bias.correlation or 0) > 0.95
