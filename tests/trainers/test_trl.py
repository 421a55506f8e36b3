from __future__ import annotations

from typing import Any

import pytest

from rayreward import RewardFunction
from rayreward.rewards import LengthReward
from rayreward.trainers.trl import samples_of


def test_texts_are_scored_in_order_with_their_columns() -> None:
    reward = RewardFunction(func=lambda prompt, response, label, level: float(response == label) + level)
    adapter = reward.get_trl_adapter()
    found = adapter(prompts=["1 + 1?", "2 + 2?"], completions=["2", "5"], answer=["2", "4"], level=[10, 20])
    assert found == [11.0, 20.0]


def test_chats_are_scored_too() -> None:
    reward = RewardFunction(func=lambda messages, original_messages: len(messages) * 10 + len(original_messages))
    prompt = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    found = reward.get_trl_adapter()(prompts=[prompt], completions=[[{"role": "assistant", "content": "a"}]])
    assert found == [32.0]
    assert reward.get_trl_adapter()(prompts=["q"], completions=[[{"role": "assistant", "content": "a"}]]) == [21.0]
    assert reward.get_trl_adapter()(prompts=[prompt], completions=["a"]) == [32.0]


def test_what_has_no_score_is_none() -> None:
    def reward(response: str) -> Any:
        return {"ok": 1.0, "none": None}.get(response, "text")

    assert RewardFunction(func=reward).get_trl_adapter()(["q"] * 3, ["ok", "none", "bad"]) == [1.0, None, None]


def test_the_trainers_own_arguments_are_no_columns() -> None:
    [sample] = samples_of(
        ["q"],
        ["a"],
        {"completion_ids": [[1, 2]], "trainer_state": object(), "log_metric": [print], "source": ["gsm8k"], "n": 3},
    )
    assert sample.metadata == {"source": "gsm8k"}


@pytest.mark.parametrize(
    ("columns", "label"),
    [
        ({"label": ["l"], "answer": ["a"]}, "l"),
        ({"ground_truth": ["g"], "answer": ["a"]}, "g"),
        ({"solution": ["s"]}, "s"),
        ({"other": ["o"]}, None),
        ({"answer": ["a", "of another length"]}, None),
    ],
)
def test_the_label_is_the_first_column_that_holds_the_truth(columns: dict[str, Any], label: Any) -> None:
    [sample] = samples_of(["q"], ["a"], columns)
    assert sample.label == label


def test_prompts_and_completions_of_different_number_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        LengthReward(1).get_trl_adapter()(prompts=["q"], completions=["a", "b"])


def test_is_named_after_its_reward() -> None:
    assert LengthReward(1).get_trl_adapter().__name__ == "length"
    assert LengthReward(1).get_trl_adapter()(prompts=[], completions=[]) == []
