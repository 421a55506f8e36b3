"""Who scores what is rolled out, and how its answer is told to OpenRLHF.

What arrives: samples, or the failures of what could not be played. What leaves: a finite number for each. The real
scorer is the router of this Ray cluster; tests put their own in its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from rayreward.agents.binding import Binding
from rayreward.router.coalescer import Gather
from rayreward.sample import Sample
from rayreward.trainers.openrlhf import TrainerAnswer
from rayreward.types import RewardOutput


class Scorer(Protocol):
    """What executors need of `rayreward.client.trainer.TrainerClient`."""

    async def answer(self, samples: Sequence[Sample]) -> list[TrainerAnswer]:
        """One answer a sample, in order; those of one group travel in one call."""
        ...

    async def settle(self, sample: Sample, output: RewardOutput) -> TrainerAnswer:
        """The answer for an output of our own: counted, logged, and, where it has failed, filled by the policy."""
        ...


def build_scorer(binding: Binding, *, gather: Gather | None = None) -> Scorer:
    """The router that a job was bound to; `gather` is for callers on threads."""
    from rayreward.client.trainer import TrainerClient

    return TrainerClient(
        binding.app,
        reward=binding.reward,
        run=binding.run,
        wait_s=binding.wait_s,
        timeout_s=binding.timeout_s,
        gather=gather,
    )


def trainer_fields(answer: TrainerAnswer, **logs: float) -> dict[str, Any]:
    """The reward's part of a response, as OpenRLHF reads it.

    `extra_logs` needs the same keys in every response of a training: OpenRLHF stacks them.
    """
    return {
        "reward": answer.reward,
        "scores": answer.filter_score,
        "extra_logs": {"reward_valid": float(answer.is_valid), **logs},
    }
