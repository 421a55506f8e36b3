# Seed 003's template. Adapted: the rewards themselves, where it has an ellipsis.
import torch

def reward_func(queries, prompts, labels):
    # Your reward calculation logic here
    rewards = torch.tensor([float(query.endswith(label)) for query, label in zip(queries, labels)])  # adapted

    return {
        "rewards": rewards,
        "scores": rewards,
        "extra_logs": {"custom_metric": rewards}
    }
