"""The built-in rewards, one a file. Importing this is light: models and judges load their libraries when used."""

from __future__ import annotations

from rayreward.decorator import reward_function
from rayreward.function import RewardFunction
from rayreward.judges.judge import LLMJudge
from rayreward.models.reward_model import RewardModel
from rayreward.rewards.code_execution import CodeExecutionReward
from rayreward.rewards.composite import CompositeReward
from rayreward.rewards.final_answer import FinalAnswerReward
from rayreward.rewards.format import FormatReward
from rayreward.rewards.function import FunctionReward
from rayreward.rewards.keyword import KeywordReward
from rayreward.rewards.length import LengthReward
from rayreward.types import MetricRewardOutput, RewardOutput, Trajectory

BUILTINS: dict[str, type[RewardFunction]] = {
    "code_execution": CodeExecutionReward,
    "composite": CompositeReward,
    "final_answer": FinalAnswerReward,
    "format": FormatReward,
    "keyword": KeywordReward,
    "length": LengthReward,
    "llm_judge": LLMJudge,
    "reward_model": RewardModel,
}
"""The names that `builtin:` takes in YAML and `--reward` on the command line."""

__all__ = [
    "BUILTINS",
    "CodeExecutionReward",
    "CompositeReward",
    "FinalAnswerReward",
    "FormatReward",
    "FunctionReward",
    "KeywordReward",
    "LLMJudge",
    "LengthReward",
    "MetricRewardOutput",
    "RewardFunction",
    "RewardModel",
    "RewardOutput",
    "Trajectory",
    "reward_function",
]
