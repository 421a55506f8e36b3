"""Episodes and single responses of a training, scored where they are generated.

What arrives: prompts, in the rollout actors of a trainer. What leaves: what the trainer learns from, each with a
finite reward. Authors write an `Environment` in plain Python; all else here runs it. Importing this package is light:
only the executors need the trainer.
"""

from __future__ import annotations

from rayreward.agents.environment import Environment, Turn

__all__ = ["Environment", "Turn"]
