# Seed 003, dynamic filtering. Adapted: the rewards themselves, where it has an ellipsis.
import torch  # adapted: added

def calculate_rewards(queries):  # adapted: added
    return torch.tensor([len(query) - 3.0 for query in queries])

def reward_func(queries, prompts, labels):
    rewards = calculate_rewards(queries)  # Your reward logic  # adapted: an ellipsis

    # Filter: Keep only samples with score > 0.5
    scores = (rewards > 0.0).float()

    return {
        "rewards": rewards,      # For advantage calculation
        "scores": scores,        # For dynamic filtering (0 or 1)
        "extra_logs": {"filtered_ratio": scores.mean()}
    }
