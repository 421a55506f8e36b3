"""OpenRLHF's requests through the router: every sample is answered by a finite number, in time.

What arrives: a decoded request. What leaves: one `TrainerAnswer` a query, in order. A lost reward kills a whole
OpenRLHF run, so a sample without a score gets the number that the policy names, marked as not valid.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rayreward.router.config import OpenRLHFPolicy
from rayreward.router.neutral import NeutralMeans
from rayreward.router.router import Router
from rayreward.trainers.openrlhf import RewardRequest, TrainerAnswer
from rayreward.types import RewardOutput, Sample

_NO_RUN = ""
"""The run of requests that name none: all of them share one mean."""


class OpenRLHFRoute:
    """Scores requests and fills in for failures.

    Args:
        router: scores by name.
        policy: what failures become.
    """

    def __init__(self, router: Router, policy: OpenRLHFPolicy) -> None:
        self._router, self._policy = router, policy
        self._means: dict[str, NeutralMeans] = {}
        self._news = asyncio.Event()

    async def answer(self, name: str | None, request: RewardRequest, *, run: str | None) -> list[TrainerAnswer]:
        """One answer a query, in order.

        Raises:
            UnknownRewardError: no such reward; nothing was scored.
        """
        name, _ = self._router.lane(name)
        means = self._means.setdefault(name, NeutralMeans())
        started_s = self._router.now()
        for prompt in request.prompts:
            means.begin(run or _NO_RUN, prompt, now_s=started_s)
        outputs: list[RewardOutput] = []
        try:
            outputs = await self._score(name, request.items)
        finally:  # a caller that leaves takes its samples out of the groups again
            scores = [output.score for output in outputs] or [None] * len(request.items)
            for prompt, score in zip(request.prompts, scores, strict=True):
                means.finish(run or _NO_RUN, prompt, score, now_s=self._router.now())
            self._announce()
        settled = (
            self._settle(means, run or _NO_RUN, prompt, output, started_s)
            for prompt, output in zip(request.prompts, outputs, strict=True)
        )
        answers = list(await asyncio.gather(*settled))
        self._record(name, request.items, outputs, answers, run)
        return answers

    async def _score(self, name: str, items: Sequence[Sample | RewardOutput]) -> list[RewardOutput]:
        """Score what is a sample; what failed while it was read keeps its failure."""
        samples = [item for item in items if isinstance(item, Sample)]
        scored = iter(await self._router.score(name, samples, timeout_s=self._policy.answer_within_s))
        return [next(scored) if isinstance(item, Sample) else item for item in items]

    async def _settle(
        self, means: NeutralMeans, run: str, prompt: str, output: RewardOutput, started_s: float
    ) -> TrainerAnswer:
        if output.score is not None:
            return TrainerAnswer.scored(output, output.score)
        if self._policy.fallback is not None:
            return TrainerAnswer.filled(self._policy.fallback, drop=False)
        elapsed_s = self._router.now() - started_s
        wait_s = min(self._policy.sibling_wait_s, self._policy.answer_within_s - elapsed_s)
        await self._wait_for_siblings(means, run, prompt, wait_s)
        return TrainerAnswer.filled(means.neutral(run, prompt), drop=self._policy.on_failure == "drop")

    async def _wait_for_siblings(self, means: NeutralMeans, run: str, prompt: str, wait_s: float) -> None:
        """Until the prompt's other samples are scored, or `wait_s` has passed."""
        if wait_s <= 0:
            return
        try:
            async with asyncio.timeout(wait_s):
                while not means.is_settled(run, prompt):
                    await self._news.wait()
        except TimeoutError:
            return  # the bound: what is known by now must do

    def _announce(self) -> None:
        """Wake everyone who waits for siblings; each looks for itself."""
        self._news.set()
        self._news = asyncio.Event()

    def _record(
        self,
        name: str,
        items: Sequence[Sample | RewardOutput],
        outputs: Sequence[RewardOutput],
        answers: Sequence[TrainerAnswer],
        run: str | None,
    ) -> None:
        samples = [item if isinstance(item, Sample) else Sample(response="") for item in items]
        self._router.record(name, samples, outputs, run=run, answered=[answer.reward for answer in answers])
