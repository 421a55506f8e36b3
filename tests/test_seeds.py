"""The snippets of the four documents that the project was created from, run as their readers would."""

from __future__ import annotations

import importlib
import math
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rayreward import LocalClient, RewardFunction, RewardOutput, Sample, Trajectory, load_reward
from rayreward.outcome import FILTER_SCORE
from rayreward.rewards import CompositeReward
from tests.live import live_service
from tests.models.tiny import make_encoder

SEEDS = Path(__file__).parent / "seeds"

TEST_ORIG = [{"role": "user", "content": "Explain RLHF safely."}]
TEST_MSGS = [*TEST_ORIG, {"role": "assistant", "content": "RLHF is helpful..."}]


@pytest.fixture(scope="module")
def made() -> Any:
    from tests.seeds import rewards_api

    return rewards_api


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    rewards = {
        "combined-reward-prod": load_reward(f"{SEEDS}/my_rewards.py::combined_reward"),
        "reward": load_reward(f"{SEEDS}/my_rewards.py::calculate_base_score"),
        "calculate_safety_score": load_reward(f"{SEEDS}/my_rewards.py::calculate_safety_score"),
    }
    with live_service(rewards) as url:
        yield url


class TestRewardsApi:
    def test_length(self, made: Any) -> None:
        assert made.made["length"](response="word " * 200).score == 1.0
        assert made.made["length"](response="word " * 150).score == pytest.approx(math.exp(-0.5))

    def test_format_keyword_and_function(self, made: Any) -> None:
        assert made.made["format"](response="Introduction … Conclusion").score == 1.0
        assert made.made["format"](response="As an AI I don't know").score == 0.0
        assert made.made["keyword"](response="because, maybe").score == pytest.approx(0.4)
        assert made.made["function"](response="x" * 101).score == 1.0

    def test_composite(self, made: Any) -> None:
        score, components = made.made["composite"](response="because: Answer " + "word " * 148)
        assert score == pytest.approx(1.0)
        assert {name: metric.weight for name, metric in components.items() if "/" not in name} == {
            "length": 0.3,
            "keyword": 0.4,
            "format": 0.3,
        }

    def test_models_and_judges_take_the_parameters(self, made: Any) -> None:
        assert made.made["model"].model_path == "OpenAssistant/reward-model-deberta"
        assert made.made["judge"].judge_model == "gpt-4"

    def test_a_custom_reward(self, made: Any) -> None:
        output = made.QualityReward().compute_reward(Trajectory(response="First. " + "word " * 20 + ". End."))
        assert isinstance(output, RewardOutput)
        assert output.reward == output.score
        assert output.metadata["structure"] == 1.0
        with LocalClient({"quality": made.QualityReward()}) as client:
            assert client.score([{"response": "First. " + "word " * 20 + ". End."}])[0].score == output.score

    def test_an_output_has_the_fields_of_the_page(self, made: Any) -> None:
        output = made.RewardOutput(reward=0.5, token_rewards=[0.1, 0.4], metadata={"a": 1})
        assert (output.reward, output.token_rewards, output.metadata) == (0.5, (0.1, 0.4), {"a": 1})


class TestRewardKit:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """A working folder with the reader's my_rewards.py in it."""
        shutil.copy(SEEDS / "my_rewards.py", tmp_path)
        monkeypatch.chdir(tmp_path)
        return tmp_path

    def test_functions_are_functions(self) -> None:
        from tests.seeds.my_rewards import combined_reward

        final_score, components = combined_reward(TEST_MSGS, TEST_ORIG)
        assert final_score == 0.5
        assert components["helpfulness"].reason == "Contains helpful keyword"
        assert components["safety_penalty"] == 0.0

    @pytest.mark.usefixtures("folder")
    def test_local(self) -> None:
        reward_model_local = RewardFunction(func_path="my_rewards.py::combined_reward", mode="local")
        final_score, components = reward_model_local(messages=TEST_MSGS, original_messages=TEST_ORIG)
        assert final_score == 0.5
        assert {name: metric.score for name, metric in components.items()} == {
            "helpfulness": 0.5,
            "length_bonus": 0.0,
            "safety_penalty": 0.0,
        }

    @pytest.mark.usefixtures("folder")
    def test_trl_adapter(self) -> None:
        reward_model_local = RewardFunction(func_path="my_rewards.py::combined_reward", mode="local")
        trl_compatible_reward_fn = reward_model_local.get_trl_adapter()
        completions = ["RLHF is helpful...", "an unsafe_word", "x" * 60]
        assert trl_compatible_reward_fn(prompts=["q"] * 3, completions=completions) == [0.5, -1.0, 0.5]

    def test_a_function_may_call_a_reward(self) -> None:
        from tests.seeds.my_rewards import calculate_base_score, calculate_safety_score

        inner = RewardFunction(func=calculate_safety_score, mode="local")

        def my_agent_reward(messages: Any, original_messages: Any, **kwargs: Any) -> Any:
            if "unsafe_word" in messages[-1]["content"]:
                return inner(messages=messages, original_messages=original_messages, function_name="f")
            return calculate_base_score(messages, original_messages)

        outer = RewardFunction(func=my_agent_reward, mode="local")
        assert outer(messages=[{"role": "assistant", "content": "unsafe_word"}]).score == -1.0
        assert outer(messages=TEST_MSGS).score == 0.5

    def test_the_decorator_leaves_the_function_a_function(self) -> None:
        decorated: Any = importlib.import_module("tests.seeds.decorated")
        assert decorated.local_score == pytest.approx(0.9 * (0.7 * 0.8 + 0.3))
        assert decorated.combined_reward(messages=decorated.messages) == pytest.approx(0.7 * 0.8 + 0.3)
        assert callable(decorated.combined_reward.deploy)
        output = decorated.combined_reward.reward()(messages=decorated.messages, metadata=decorated.metadata_example)
        assert output.score == pytest.approx(decorated.local_score)

    def test_remote_by_name(self, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("RAYREWARD_URL", url)
        evaluation_name = "combined-reward-prod"
        remote_reward_model = RewardFunction(name=evaluation_name, mode="remote")
        final_score, components = remote_reward_model(messages=TEST_MSGS, original_messages=TEST_ORIG)
        assert (final_score, components["helpfulness"].score) == (0.5, 0.5)
        remote_trl_adapter = remote_reward_model.get_trl_adapter()
        assert remote_trl_adapter(prompts=["q"], completions=["RLHF is helpful..."]) == [0.5]

    def test_remote_by_endpoint(self, url: str) -> None:
        self_hosted_reward_model = RewardFunction(endpoint=f"<{url}/reward>", mode="remote")
        final_score_sh, components_sh = self_hosted_reward_model(messages=TEST_MSGS, original_messages=TEST_ORIG)
        assert (final_score_sh, components_sh["length_bonus"].reason) == (0.5, "Response too short")

    def test_a_part_of_a_composition_may_be_remote(self, url: str) -> None:
        from tests.seeds.my_rewards import calculate_base_score

        safety = RewardFunction(name="calculate_safety_score", endpoint=url, mode="remote")
        composite = CompositeReward([(RewardFunction(func=calculate_base_score), 1.0), (safety, 1.0)])
        score, components = composite(messages=[*TEST_ORIG, {"role": "assistant", "content": "helpful unsafe_word"}])
        assert score == -0.5
        assert components["calculate_safety_score"].score == -1.0
        with LocalClient({"composite": composite}) as client:
            assert client.score([Sample(TEST_MSGS)])[0].score == 0.5

    def test_a_service_that_is_gone_is_a_failure_to_read(self) -> None:
        reward = RewardFunction(endpoint="http://127.0.0.1:9/reward", mode="remote")
        reward._remote._sleep = _no_pause  # type: ignore[union-attr]
        output = reward(messages=TEST_MSGS)
        assert output.failure is not None
        assert output.failure.kind.value == "unavailable"


async def _no_pause(_: float) -> None:
    return None


class TestRewardFunc:
    """Files as OpenRLHF takes them: loaded by path, scored with queries, prompts and labels."""

    def scored(self, file: str, *rows: tuple[str, str, Any]) -> list[RewardOutput]:
        reward = load_reward(f"{SEEDS / file}::reward_func")
        assert not reward.scores_one_by_one
        return reward.score(
            [Sample(prompt=p, response=q.removeprefix(p), label=label, metadata={"query": q}) for q, p, label in rows]
        )

    @pytest.fixture
    def python(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The interpreter of these tests is the one that the snippets call python."""
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def test_template(self) -> None:
        outputs = self.scored("reward_func.py", ("2 + 2? 4", "2 + 2? ", "4"), ("2 + 2? 5", "2 + 2? ", "4"))
        assert [output.score for output in outputs] == [1.0, 0.0]
        assert [output.metadata[FILTER_SCORE] for output in outputs] == [1.0, 0.0]
        assert outputs[0].metrics["custom_metric"].score == 1.0

    def test_math(self) -> None:
        rows = [("q: the answer is: 42", "q:", "42"), ("q: #### 41", "q:", "42"), ("q: no idea", "q:", "42")]
        outputs = self.scored("reward_func_math.py", *rows)
        assert [output.score for output in outputs] == [1.0, 0.0, -0.5]
        assert [output.metadata[FILTER_SCORE] for output in outputs] == pytest.approx([1.0, 1 / 3, 0.0])
        assert outputs[0].metadata["math_accuracy"] == pytest.approx(1 / 3)

    def test_math_with_a_label_that_it_cannot_read_costs_that_sample_alone(self) -> None:
        outputs = self.scored("reward_func_math.py", ("q: = 1", "q:", None), ("q: = 1", "q:", "1"))
        assert [output.score for output in outputs] == [None, 1.0]

    @pytest.mark.usefixtures("python")
    def test_code_with_tests(self) -> None:
        good = "Write.\ndef test_it():\n    assert 2 + 2 == 4\n"
        [output] = self.scored("reward_func_code_gen.py", (good, "Write.", ""))
        assert (output.score, output.metadata[FILTER_SCORE]) == (1.0, 1.0)
        assert output.metrics["code_correctness"].score == 1.0

    @pytest.mark.usefixtures("python")
    def test_code_that_runs(self) -> None:
        rows = [("```python\nassert True\n```", "", ""), ("```python\n1 / 0\n```", "", ""), ("no code", "", "")]
        outputs = self.scored("code_reward.py", *rows)
        assert [output.score for output in outputs] == [1.0, 0.0, 0.0]
        assert outputs[0].metadata["pass_rate"] == pytest.approx(1 / 3)

    def test_random(self) -> None:
        outputs = self.scored("reward_func_random.py", *[("q", "q", "")] * 8)
        assert {output.score for output in outputs} <= {0.0, 1.0}

    def test_dynamic_filtering(self) -> None:
        outputs = self.scored("reward_func_filtering.py", ("ab", "", ""), ("abcde", "", ""))
        assert [(output.score, output.metadata[FILTER_SCORE]) for output in outputs] == [(-1.0, 0.0), (2.0, 1.0)]

    def test_conversation_with_a_model(
        self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("QUALITY_MODEL", str(make_encoder(tmp_path_factory.mktemp("quality"), labels=2)))
        short, long = self.scored(
            "reward_func_conversation.py", ("what is it", "what is ", ""), ("what is" + " a b" * 6, "what is", "")
        )
        assert 0.0 < (short.score or 0.0) <= 0.5
        assert 0.0 < (long.score or 0.0) <= 1.0
        assert short.metadata["max_quality"] == pytest.approx(max(short.score or 0.0, long.score or 0.0))
