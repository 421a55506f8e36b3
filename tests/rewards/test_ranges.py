"""The range that a docstring names holds for any text: random ones, of the pieces that rewards look for."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from rayreward.function import RewardFunction
from rayreward.rewards import (
    FormatReward,
    FunctionCallingReward,
    InstructionFollowingReward,
    JsonSchemaReward,
    KeywordReward,
    LanguageConsistencyReward,
    LengthReward,
    MultipleChoiceReward,
    OverlongReward,
    RepetitionReward,
    SimilarityReward,
    TagCountReward,
)

PIECES = (
    *(
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "Answer: ",
        "A",
        "B",
        " or ",
        "\\boxed{",
        "}",
        "{",
        '"a"',
        ": ",
        "1",
    ),
    *(",", "[", "]", "<tool_call>", "</tool_call>", '{"name": "f", "arguments": {"a": 1}}', "f(a=1)", "```", "json\n"),
    *(
        "<function=f>",
        "</function>",
        "<parameter=a>",
        "</parameter>",
        "tea ",
        "milk ",
        "\n",
        "\n\n",
        "* ",
        "***",
        "\x00",
    ),
    *(
        "\ud800",
        "\u4e2d",
        "\U0001f600",
        "\u0130",
        "word ",
        "WORD. ",
        "9" * 400,
        "-1e999",
        "[TOOL_CALLS]",
        "<|python_tag|>",
    ),
)
INSTRUCTIONS = {
    "instruction_id_list": ["keywords:existence", "length_constraints:number_words", "change_case:english_capital"],
    "kwargs": [{"keywords": ["tea"]}, {"num_words": 3, "relation": "at least"}, {}],
}
CASES: list[tuple[RewardFunction, dict[str, Any], float, float]] = [
    (FunctionCallingReward(), {"label": [{"f": {"a": [1]}}]}, 0.0, 1.0),
    (FunctionCallingReward(argument_match_strictness="flexible"), {"label": [{"f": {"a": [1]}}]}, 0.0, 1.0),
    (FunctionCallingReward(), {"label": []}, 0.0, 1.0),
    (JsonSchemaReward({"required": ["a"]}, score="parts"), {}, 0.0, 1.0),
    (JsonSchemaReward({"items": {"type": "string"}}, score="parts"), {}, 0.0, 1.0),
    (InstructionFollowingReward(mode="loose"), {"label": INSTRUCTIONS}, 0.0, 1.0),
    (FormatReward(["Answer"], ["milk"], tags=["think", "answer"], outside="nothing"), {}, 0.0, 1.0),
    (TagCountReward(), {}, 0.0, 1.0),
    (MultipleChoiceReward(), {"label": "B"}, 0.0, 1.0),
    (LengthReward(target_length=9), {}, 0.0, 1.0),
    (LengthReward(target_length=0, tolerance=1e-9, reward_type="linear"), {}, 0.0, 1.0),
    (LengthReward(reward_type="cosine", max_length=9), {"metadata": {"correct": True}}, -1.0, 1.0),
    (LengthReward(reward_type="cosine", max_length=9), {"metadata": {"correct": False}}, -1.0, 1.0),
    (KeywordReward(["tea"], ["word"], ["milk"], bonus_weight=9, penalty_weight=9), {}, 0.0, 1.0),
    (RepetitionReward(ngram_size=1, max_penalty=2.5), {}, -2.5, 0.0),
    (RepetitionReward(unit="characters"), {}, -1.0, 0.0),
    (OverlongReward(9, 3, unit="words"), {}, -1.0, 0.0),
    (OverlongReward(9, 0, unit="characters"), {}, -1.0, 0.0),
    *((SimilarityReward(metric), {"label": ["tea word", ""]}, 0.0, 1.0) for metric in ("ratio", "token_set", "rouge2")),
    *((SimilarityReward(metric), {"label": "a tea"}, 0.0, 1.0) for metric in ("levenshtein", "bleu", "chrf", "rougeL")),
    (LanguageConsistencyReward("en"), {}, 0.0, 1.0),
]


@pytest.mark.parametrize(("reward", "sample", "least", "most"), CASES, ids=lambda one: getattr(one, "name", ""))
def test_any_text_has_a_score_of_the_range(
    reward: RewardFunction, sample: dict[str, Any], least: float, most: float
) -> None:
    reward.load()
    draw = random.Random(7)
    for _ in range(200):
        output = reward(response="".join(draw.choices(PIECES, k=draw.randrange(12))), **sample)
        assert output.failure is None
        assert output.score is not None
        assert least <= output.score <= most
        assert all(math.isfinite(metric.score) for metric in output.metrics.values() if metric.score is not None)
