from __future__ import annotations

import inspect
import pickle
from types import SimpleNamespace
from typing import Any

import pytest

from rayreward import RewardFunction
from rayreward.errors import ConfigError
from rayreward.rewards import LengthReward
from rayreward.testing import ScriptedReward, served
from rayreward.trainers.trl import TrlReward, samples_of, step_of
from tests.live import listening


class Hooks:
    """What TRL hands to reward functions to log with."""

    def __init__(self) -> None:
        self.metrics: dict[str, list[float]] = {}
        self.columns: dict[str, list[Any]] = {}

    def log_metric(self, name: str, value: float) -> None:
        self.metrics.setdefault(name, []).append(value)

    def log_extra(self, column: str, values: list[Any]) -> None:
        self.columns.setdefault(column, []).extend(values)

    def __call__(self, reward: Any, completions: list[str], prompt: str = "q") -> Any:
        hooks = {"log_metric": self.log_metric, "log_extra": self.log_extra}
        return reward(prompts=[prompt] * len(completions), completions=completions, **hooks)


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


def test_completions_of_one_prompt_are_a_group() -> None:
    chat = [{"role": "user", "content": "q"}]
    samples = samples_of(["q", "other", "q", chat], ["a", "b", "c", "d"], {})
    assert [sample.group_size for sample in samples] == [3, 1, 3, 3]
    assert len({sample.group_id for sample in samples}) == 2


def test_prompts_and_completions_of_different_number_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        LengthReward(1).get_trl_adapter()(prompts=["q"], completions=["a", "b"])


def test_is_named_after_its_reward_and_may_travel_to_another_process() -> None:
    adapter = LengthReward(1).get_trl_adapter()
    assert adapter.__name__ == "length"
    assert adapter(prompts=[], completions=[]) == []
    assert pickle.loads(pickle.dumps(adapter)).__name__ == "length"


def test_components_are_logged_by_name_and_failures_by_kind_and_no_failure_is_in_a_mean() -> None:
    script = {"good": (1.0, {"format": 0.5}), "fair": (0.5, {"format": 0.25}), "bad": ValueError("no")}
    reward, hooks = ScriptedReward(script).get_trl_adapter(), Hooks()

    assert hooks(reward, ["good", "fair", "bad"]) == [1.0, 0.5, None]
    assert hooks(reward, ["good"]) == [1.0]

    assert hooks.metrics == {
        "reward/scripted/format": [0.375, 0.5],
        "reward_failures/scripted": [1.0, 0.0],
        "reward_failures/scripted/error": [1.0, 0.0],
    }
    assert hooks.columns["scripted/components"] == ["format=0.5", "format=0.25", "", "format=0.5"]
    assert [text.partition(" (")[0] for text in hooks.columns["scripted/failure"]] == [
        "",
        "",
        "error: ValueError: no",
        "",
    ]
    assert {len(column) for column in hooks.columns.values()} == {4}


def test_a_failed_sample_may_be_neutral_among_its_siblings_for_trainers_with_several_rewards() -> None:
    reward = ScriptedReward({"high": 1.0, "low": 0.0, "bad": ValueError("no")}).get_trl_adapter(on_failure="neutral")
    prompts, completions = ["p", "p", "p", "q"], ["high", "low", "bad", "bad"]

    assert reward(prompts=prompts, completions=completions) == [1.0, 0.0, 0.5, None]

    with pytest.raises(ConfigError, match="on_failure='zero': known are 'none', 'neutral'"):
        LengthReward(1).get_trl_adapter(on_failure="zero")  # type: ignore[arg-type]


def test_scores_may_be_kept_within_a_range() -> None:
    reward = TrlReward(ScriptedReward({"huge": 99.0, "bad": None}, default=0.5), clip_range=(-1.0, 1.0))
    assert reward(prompts=["q"] * 3, completions=["huge", "bad", "other"]) == [1.0, None, 0.5]


async def test_the_async_form_answers_alike_and_is_what_trl_takes_for_async() -> None:
    async def asynchronous(response: str) -> float:
        return float(response)

    for reward in (RewardFunction(func=lambda response: float(response)), RewardFunction(func=asynchronous)):
        adapter = reward.get_trl_adapter(is_async=True)
        assert inspect.iscoroutinefunction(adapter.__call__)
        assert await adapter(prompts=["q", "q"], completions=["1", "no number"]) == [1.0, None]


async def test_a_served_reward_is_asked_in_the_name_of_the_run() -> None:
    async with (
        served({"scripted": ScriptedReward({"bad": ValueError("no")})}) as service,
        listening(service.door) as url,
    ):
        reward = RewardFunction(name="scripted", endpoint=url, mode="remote").get_trl_adapter(
            is_async=True, run="first"
        )
        state = SimpleNamespace(global_step=4)

        assert await reward(prompts=["q", "q"], completions=["good", "bad"], trainer_state=state) == [1.0, None]

        stats = await service.client.arun_stats("first")
        await reward._reward.aclose()
    assert reward.__name__ == "scripted"
    assert (stats.sample_count, stats.scored.count, stats.failure_counts) == (2, 1, {"error": 1})


def test_the_step_is_the_one_that_will_learn_from_the_samples() -> None:
    assert step_of({"trainer_state": SimpleNamespace(global_step=4)}) == 5
    assert step_of({}) is None
