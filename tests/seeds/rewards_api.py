"""Seed 001, snippet by snippet. Adapted: the imports' names, and `made`, which keeps what each snippet makes."""

made = {}

# RewardFunction base class, RewardOutput
from rayreward.rewards import RewardFunction, RewardOutput  # adapted: flux.rewards

# LengthReward
from rayreward.rewards import LengthReward  # adapted: flux.rewards

reward = LengthReward(
    target_length=200,      # Target word count
    tolerance=50,           # Acceptable deviation
    reward_type="gaussian", # "gaussian" or "linear"
)
made["length"] = reward  # adapted

# FormatReward
from rayreward.rewards import FormatReward  # adapted: flux.rewards

reward = FormatReward(
    required_sections=["Introduction", "Conclusion"],
    forbidden_patterns=["I don't know", "As an AI"],
)
made["format"] = reward  # adapted

# KeywordReward
from rayreward.rewards import KeywordReward  # adapted: flux.rewards

reward = KeywordReward(
    required_keywords=["because", "therefore"],
    bonus_keywords=["example"],
    penalty_keywords=["maybe"],
)
made["keyword"] = reward  # adapted

# FunctionReward
from rayreward.rewards import FunctionReward  # adapted: flux.rewards

def my_scorer(trajectory):
    return 1.0 if len(trajectory.response) > 100 else 0.5

reward = FunctionReward(fn=my_scorer)
made["function"] = reward  # adapted

# CompositeReward
from rayreward.rewards import CompositeReward  # adapted: flux.rewards

reward = CompositeReward([
    (LengthReward(target=150), 0.3),   # 30% weight
    (KeywordReward(required=["because"]), 0.4),
    (FormatReward(required_sections=["Answer"]), 0.3),
])
made["composite"] = reward  # adapted

# RewardModel
from rayreward.rewards import RewardModel  # adapted: flux.rewards

reward = RewardModel(
    model_path="OpenAssistant/reward-model-deberta",
    device="cuda",
)
made["model"] = reward  # adapted

# LLMJudge
from rayreward.rewards import LLMJudge  # adapted: flux.rewards

reward = LLMJudge(
    judge_model="gpt-4",
    prompt_template="Rate this response...",
    api_key="...",
)
made["judge"] = reward  # adapted

# Custom rewards
from rayreward.rewards import RewardFunction, RewardOutput  # adapted: flux.rewards
from rayreward import Trajectory  # adapted: flux.core.trajectory

class QualityReward(RewardFunction):
    def __init__(self, weights: dict = None):
        self.weights = weights or {
            "length": 0.3,
            "structure": 0.3,
            "clarity": 0.4,
        }

    def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        response = trajectory.response

        # Compute sub-scores
        length_score = self._score_length(response)
        structure_score = self._score_structure(response)
        clarity_score = self._score_clarity(response)

        # Weighted combination
        score = (
            self.weights["length"] * length_score +
            self.weights["structure"] * structure_score +
            self.weights["clarity"] * clarity_score
        )

        return RewardOutput(
            reward=score,
            metadata={
                "length": length_score,
                "structure": structure_score,
                "clarity": clarity_score,
            }
        )

    def _score_length(self, text: str) -> float:
        words = len(text.split())
        return min(1.0, words / 200)

    def _score_structure(self, text: str) -> float:
        has_structure = any(x in text for x in ["1.", "First", "•"])
        return 1.0 if has_structure else 0.3

    def _score_clarity(self, text: str) -> float:
        # Simplified clarity heuristic
        sentences = text.count(".")
        if sentences < 2:
            return 0.3
        avg_words = len(text.split()) / sentences
        return 1.0 if 10 <= avg_words <= 25 else 0.5
