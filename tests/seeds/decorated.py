"""Seed 000's `@reward_function`. Adapted: the imports, and the two names that the snippet takes from nowhere."""

from typing import Any, Dict  # adapted: added

from rayreward import reward_function  # adapted: reward_kit

@reward_function
def combined_reward(messages: Dict[str, Any], *args, **kwargs) -> float:
    completion = messages[-1].content  # adapted: added
    metadata = args[0] if args else kwargs.get("metadata", {})  # adapted: added

    length_score = min(len(messages[-1].content) / 100.0, 1.0) # Score based on length (up to 100 chars)
    keyword_present = "important" in completion.lower()

    final_score = 0.7 * length_score + 0.3 * (1.0 if keyword_present else 0.0)

    # You can access anything passed in metadata if needed
    if metadata.get("user_preference") == "concise":
        final_score *= 0.9 # Penalize verbosity slightly if user prefers concise

    return final_score


messages = [{"user": "Explain the concept of reinforcement learning.", "assistant": "RL involves agents learning through trial and error via rewards. It's important."}]  # adapted: closed
metadata_example = {"user_preference": "concise"}

local_score = combined_reward(messages, metadata_example)
