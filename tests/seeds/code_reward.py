# Seed 004, code execution. Adapted: the deadline, which a busy machine needs to be longer.
import torch
import subprocess
import tempfile
import os

def reward_func(queries, prompts, labels):
    rewards = []

    for query, label in zip(queries, labels):
        # Extract code from query (assume code is between ```python and ```)
        try:
            code = query.split("```python")[1].split("```")[0].strip()

            # Write to temp file and execute
            with tempfile.NamedTemporaryFile(mode='w', suffix='.py', delete=False) as f:
                f.write(code)
                temp_file = f.name

            # Execute and run tests
            result = subprocess.run(
                ['python', temp_file],
                capture_output=True,
                timeout=60  # adapted: 5
            )

            # Reward: 1.0 if success, 0.0 if failure
            reward = 1.0 if result.returncode == 0 else 0.0

            os.unlink(temp_file)

        except Exception as e:
            reward = 0.0

        rewards.append(reward)

    rewards_tensor = torch.tensor(rewards, dtype=torch.float32)

    return {
        "rewards": rewards_tensor,
        "scores": rewards_tensor,
        "extra_logs": {
            "pass_rate": rewards_tensor.mean().item(),
        },
    }
