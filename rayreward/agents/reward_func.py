"""OpenRLHF's ``reward_func(queries, prompts, labels)``, scored through Ray.

What arrives: calls of one query each, from the threads of a rollout actor. What leaves: OpenRLHF's dict of tensors.
All threads share one scorer on one event loop, so what they ask at the same time travels together: as much as there
are threads, which is why the executors of this package carry more. A sample that fails gets the policy's number.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import torch

from rayreward.agents.binding import Binding
from rayreward.agents.scorer import Scorer, build_scorer
from rayreward.client.sync import run_sync
from rayreward.errors import InvalidInputError
from rayreward.router.coalescer import Gather
from rayreward.sample import Sample
from rayreward.trainers.openrlhf import TrainerAnswer, sample_of
from rayreward.types import FailureKind, RewardOutput

_THREADS = min(32, (os.cpu_count() or 1) + 4)
"""Of the pool that OpenRLHF calls from: asyncio's own, whose size nobody sets."""

_QUIET_S = 0.005
"""How long a call that could travel alone waits for another thread's: as long as Python lets one thread run."""


class RewardFunc:
    """A reward function as OpenRLHF loads it from a file; one a process.

    Args:
        binding: who scores; what the job says, where left out.
        scorer: in place of the router.
    """

    def __init__(self, binding: Binding | None = None, scorer: Scorer | None = None) -> None:
        self._scorer = scorer or build_scorer(
            binding or Binding.from_env(), gather=Gather(caller_count=_THREADS, quiet_s=_QUIET_S)
        )

    def __call__(self, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any]) -> dict[str, Any]:
        """One reward a query, in order."""
        answers = run_sync(self._answer_all(list(zip(queries, prompts, labels, strict=True))))
        return {
            "rewards": torch.tensor([answer.reward for answer in answers]),
            "scores": torch.tensor([answer.filter_score for answer in answers]),
            "extra_logs": {"reward_valid": torch.tensor([float(answer.is_valid) for answer in answers])},
        }

    async def _answer_all(self, rows: Sequence[tuple[str, str, Any]]) -> list[TrainerAnswer]:
        return list(await asyncio.gather(*(self._answer(*row) for row in rows)))

    async def _answer(self, query: str, prompt: str, label: Any) -> TrainerAnswer:
        try:
            sample = sample_of(query, prompt, label)
        except InvalidInputError as error:
            unread = Sample(prompt=prompt, response="")
            return await self._scorer.settle(unread, RewardOutput.failed(FailureKind.INVALID_INPUT, str(error)))
        [answer] = await self._scorer.answer([sample])
        return answer
