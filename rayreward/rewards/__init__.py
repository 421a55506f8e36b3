"""The built-in rewards, one a file. Importing this is light: models and judges load their libraries when used."""

from __future__ import annotations

from rayreward.decorator import reward_function
from rayreward.function import RewardFunction
from rayreward.judges.judge import LLMJudge
from rayreward.judges.listwise import ListwiseJudge
from rayreward.judges.pairwise import PairwiseJudge
from rayreward.judges.rubric import RubricJudge
from rayreward.models.hosted import HostedRewardModel
from rayreward.models.reward_model import RewardModel
from rayreward.rewards.code_execution import CodeExecutionReward
from rayreward.rewards.composite import CompositeReward
from rayreward.rewards.ensemble import EnsembleReward
from rayreward.rewards.final_answer import FinalAnswerReward
from rayreward.rewards.format import FormatReward
from rayreward.rewards.function import FunctionReward
from rayreward.rewards.function_calling import FunctionCallingReward
from rayreward.rewards.instruction_following import InstructionFollowingReward
from rayreward.rewards.json_schema import JsonSchemaReward
from rayreward.rewards.keyword import KeywordReward
from rayreward.rewards.language_consistency import LanguageConsistencyReward
from rayreward.rewards.length import LengthReward
from rayreward.rewards.math import MathReward
from rayreward.rewards.multiple_choice import MultipleChoiceReward
from rayreward.rewards.overlong import OverlongReward
from rayreward.rewards.pair_ranker import PairRanker
from rayreward.rewards.repetition import RepetitionReward
from rayreward.rewards.similarity import SimilarityReward
from rayreward.rewards.tag_count import TagCountReward
from rayreward.sample import Trajectory
from rayreward.types import MetricRewardOutput, RewardOutput

BUILTINS: dict[str, type[RewardFunction]] = {
    "code_execution": CodeExecutionReward,
    "composite": CompositeReward,
    "ensemble": EnsembleReward,
    "final_answer": FinalAnswerReward,
    "format": FormatReward,
    "function_calling": FunctionCallingReward,
    "hosted_reward_model": HostedRewardModel,
    "instruction_following": InstructionFollowingReward,
    "json_schema": JsonSchemaReward,
    "keyword": KeywordReward,
    "language_consistency": LanguageConsistencyReward,
    "length": LengthReward,
    "listwise_judge": ListwiseJudge,
    "llm_judge": LLMJudge,
    "math": MathReward,
    "multiple_choice": MultipleChoiceReward,
    "overlong": OverlongReward,
    "pair_ranker": PairRanker,
    "pairwise_judge": PairwiseJudge,
    "repetition": RepetitionReward,
    "reward_model": RewardModel,
    "rubric_judge": RubricJudge,
    "similarity": SimilarityReward,
    "tag_count": TagCountReward,
}
"""The names that `builtin:` takes in YAML and `--reward` on the command line."""

__all__ = [
    "BUILTINS",
    "CodeExecutionReward",
    "CompositeReward",
    "EnsembleReward",
    "FinalAnswerReward",
    "FormatReward",
    "FunctionCallingReward",
    "FunctionReward",
    "HostedRewardModel",
    "InstructionFollowingReward",
    "JsonSchemaReward",
    "KeywordReward",
    "LLMJudge",
    "LanguageConsistencyReward",
    "LengthReward",
    "ListwiseJudge",
    "MathReward",
    "MetricRewardOutput",
    "MultipleChoiceReward",
    "OverlongReward",
    "PairRanker",
    "PairwiseJudge",
    "RepetitionReward",
    "RewardFunction",
    "RewardModel",
    "RewardOutput",
    "RubricJudge",
    "SimilarityReward",
    "TagCountReward",
    "Trajectory",
    "reward_function",
]
