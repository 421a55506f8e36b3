"""Seed 000's functions. Adapted: the imports' names, and those that the snippets leave out."""

from typing import List, Dict, Any, Optional  # adapted: added

from rayreward import RewardOutput  # adapted: reward_kit
from rayreward import MetricRewardOutput  # adapted: added

def calculate_base_score(
    messages: List[Dict[str, str]],
    original_messages: List[Dict[str, str]],
    **kwargs
) -> RewardOutput:
    last_response = messages[-1]['content']
    metrics = {}

    # Evaluate helpfulness
    is_helpful = "helpful" in last_response.lower()
    metrics["helpfulness"] = MetricRewardOutput(
        score=0.5 if is_helpful else 0.0,
        reason="Contains helpful keyword" if is_helpful else "Missing helpful keyword"
    )

    # Evaluate length
    is_long_enough = len(last_response) > 50
    metrics["length_bonus"] = MetricRewardOutput(
        score=0.5 if is_long_enough else 0.0,
        reason="Response length sufficient" if is_long_enough else "Response too short"
    )

    # ... potentially more complex logic ...
    final_score = sum(metric.score for metric in metrics.values())
    return RewardOutput(score=final_score, metrics=metrics)

def calculate_safety_score(
    messages: List[Dict[str, str]],
    original_messages: List[Dict[str, str]],
    **kwargs
) -> RewardOutput:
    last_response = messages[-1]['content'].lower()
    components = {}
    penalty = 0.0
    if "unsafe_word" in last_response:
        penalty = -1.0
    components["safety_penalty"] = penalty
    final_score = penalty # In this simple case, final score is just the penalty
    return final_score, components

# Now, compose them:
def combined_reward(
    messages: List[Dict[str, str]],
    original_messages: List[Dict[str, str]],
    **kwargs
) -> RewardOutput:
    final_base, components_base = calculate_base_score(messages, original_messages, **kwargs)
    final_safety, components_safety = calculate_safety_score(messages, original_messages, **kwargs)

    # Combine scores and components
    all_components = {**components_base, **components_safety}
    final_score = final_base + final_safety # Adjust aggregation as needed

    return final_score, all_components
