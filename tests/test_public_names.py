from __future__ import annotations

import importlib

import pytest

import rayreward
import rayreward.client
import rayreward.rewards
import rayreward.testing

PUBLIC = {
    "rayreward": [
        "Failure", "FailureKind", "HandleClient", "HttpClient", "LocalClient", "Message", "MetricRewardOutput",
        "RewardClient", "RewardFunction", "RewardInfo", "RewardOutput", "Sample", "Timings", "Trajectory",
        "load_reward", "reward_function",
    ],
    "rayreward.rewards": [
        "BUILTINS", "CodeExecutionReward", "CompositeReward", "EnsembleReward", "FinalAnswerReward", "FormatReward",
        "FunctionCallingReward", "FunctionReward", "HostedRewardModel", "InstructionFollowingReward",
        "JsonSchemaReward", "KeywordReward", "LLMJudge", "LanguageConsistencyReward", "LengthReward", "ListwiseJudge",
        "MathReward", "MetricRewardOutput", "MultipleChoiceReward", "OverlongReward", "PairRanker", "PairwiseJudge",
        "RepetitionReward", "RewardFunction", "RewardModel", "RewardOutput", "RubricJudge", "SimilarityReward",
        "TagCountReward", "Trajectory", "reward_function",
    ],
    "rayreward.client": ["HandleClient", "HttpClient", "LocalClient", "RewardClient", "connect"],
    "rayreward.sandbox": [
        "Candidate", "Ended", "Finished", "Opaque", "Program", "Raised", "Returned", "Sandbox", "SandboxLimits", "Tier",
    ],
    "rayreward.testing": ["EXIT", "HANG", "ManualClock", "ScriptedReward", "served"],
}  # fmt: skip
"""What others may rely on. A change here is a change for users: it belongs into CHANGELOG.md."""


@pytest.mark.parametrize("module", PUBLIC)
def test_the_public_names_are_these(module: str) -> None:
    assert sorted(importlib.import_module(module).__all__) == sorted(PUBLIC[module])


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in PUBLIC.items() for name in names])
def test_each_can_be_had(module: str, name: str) -> None:
    assert getattr(importlib.import_module(module), name) is not None


def test_the_package_shows_its_names_and_no_others() -> None:
    assert set(rayreward.__all__) <= set(dir(rayreward))
    assert rayreward.__version__
    with pytest.raises(AttributeError, match="no attribute 'RewardFuncion'"):
        _ = rayreward.RewardFuncion
