"""OpenRLHF's samples through the router: every one is answered by a finite number, in time.

What arrives: a decoded HTTP request, or samples of an in-cluster client. What leaves: one `TrainerAnswer` a sample, in
order. A lost reward kills a whole OpenRLHF run, so a sample without a score gets the number that the policy names,
marked as not valid.

It takes two steps. `begin` gives outputs as soon as they are known; `settle` gives the numbers of those that failed,
and may wait for their siblings. An HTTP request takes both at once. A client whose calls carry many samples takes them
apart, so that a failed sample's wait holds up nobody else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial

from rayreward.router.config import OpenRLHFPolicy
from rayreward.router.neutral import NeutralMeans
from rayreward.router.router import Router
from rayreward.sample import Sample
from rayreward.trainers.openrlhf import RewardRequest, TrainerAnswer
from rayreward.types import FailureKind, Priority, RewardOutput
from rayreward.workers.outcomes import Outcome

_NO_RUN = ""
"""The run of requests that name none: all of them share one mean."""

_WAIT_PAUSE_S = 1.0
"""Between two attempts to score what nobody answered for."""

_RUNS_KEPT = 64
"""Of a reward, for the router after this one: trainings that are under way at the same time."""

Item = Sample | RewardOutput
"""A sample, or the failure of a malformed one."""


class OpenRLHFRoute:
    """Scores samples and fills in for failures.

    Args:
        router: scores by name.
        policy: what failures become.
        sleep: how to wait.
    """

    def __init__(
        self, router: Router, policy: OpenRLHFPolicy, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._router, self._policy, self._sleep = router, policy, sleep
        # What is left of the time is for siblings, and for the answer to travel.
        self._wait_limit_s = policy.answer_within_s - policy.sibling_wait_s - _WAIT_PAUSE_S
        self._means: dict[str, NeutralMeans] = {}
        self._news = asyncio.Event()
        self._waiting_count = 0

    async def answer(
        self,
        name: str | None,
        request: RewardRequest,
        *,
        run: str | None,
        group_size: int | None = None,
        priority: Priority = "train",
    ) -> list[TrainerAnswer]:
        """One answer a query, in order.

        Args:
            name: the reward; the main one where left out.
            request: the queries.
            run: the training.
            group_size: how many samples a prompt has, where the request says so.
            priority: of the queries.

        Raises:
            UnknownRewardError: no such reward; nothing was scored.
        """
        name, _ = self._router.lane(name)
        started_s = self._router.now()
        items, prompts = request.items, request.prompts
        outputs = await self._score(name, items, prompts, run=run, group_size=group_size, priority=priority)
        while (lost := _unavailable(outputs)) and self._router.now() - started_s < self._wait_limit_s:
            # Held rather than answered with a stand-in: the training pauses for as long as its client waits.
            await self._sleep(_WAIT_PAUSE_S)
            asked = [items[at] for at in lost], [prompts[at] for at in lost]
            again = await self._score(name, *asked, run=run, group_size=group_size, priority=priority)
            for position, output in zip(lost, again, strict=True):
                outputs[position] = output
        left_s = self._policy.answer_within_s - (self._router.now() - started_s)
        return await self._settle_all(name, items, prompts, outputs, run, within_s=left_s)

    async def begin(self, name: str | None, samples: Sequence[Sample], *, run: str | None) -> Sequence[Outcome]:
        """One outcome a sample, in order. Those with a score are done with; the others are to be settled.

        What is not known soon is a future of its output: a client asks for many callers at once.

        Raises:
            UnknownRewardError: no such reward; nothing was scored.
        """
        name, _ = self._router.lane(name)
        means, begun_s = self._means_of(name), self._router.now()
        for sample in samples:
            means.begin(run or _NO_RUN, _group_of(sample), size=sample.group_size, now_s=begun_s)

        def finish(sample: Sample, output: RewardOutput | None) -> None:
            score = None if output is None else output.score
            means.finish(run or _NO_RUN, _group_of(sample), score, now_s=self._router.now())

        try:
            limit_s = self._policy.answer_within_s
            outcomes = await self._router.begin(name, samples, timeout_s=limit_s, caller=run, is_held=True)
        except BaseException:  # a caller that leaves takes its samples out of the groups again
            for sample in samples:
                finish(sample, None)
            self._announce()
            raise

        def note(sample: Sample, late: asyncio.Future[RewardOutput]) -> None:
            finish(sample, None if late.cancelled() else late.result())
            self._announce()
            if not late.cancelled():
                self._note_answered(name, [sample], [late.result()], run)

        known: list[tuple[Sample, RewardOutput]] = []
        for sample, outcome in zip(samples, outcomes, strict=True):
            if isinstance(outcome, RewardOutput):
                finish(sample, outcome)
                known.append((sample, outcome))
            else:
                outcome.add_done_callback(partial(note, sample))
        self._announce()
        self._note_answered(name, [sample for sample, _ in known], [output for _, output in known], run)
        return outcomes

    def _note_answered(
        self, name: str, samples: Sequence[Sample], outputs: Sequence[RewardOutput], run: str | None
    ) -> None:
        """Those with a score are done with; the others are to be settled."""
        valid = [position for position, output in enumerate(outputs) if output.is_valid]
        self._record(name, [samples[at] for at in valid], [outputs[at] for at in valid], run)
        if _unavailable(outputs):
            self._router.note_unavailable(run)

    async def settle(
        self,
        name: str | None,
        samples: Sequence[Sample],
        outputs: Sequence[RewardOutput],
        *,
        run: str | None,
        unseen: Collection[int] = (),
    ) -> list[TrainerAnswer]:
        """What the trainer is told of samples that `begin` gave no score, or that were scored elsewhere.

        Args:
            name: the reward.
            samples: what they are.
            outputs: of each; a score is told as it is.
            run: the training.
            unseen: positions of those that `begin` was never asked for: they are counted among their siblings first.

        Raises:
            UnknownRewardError: no such reward.
        """
        name, _ = self._router.lane(name)
        groups = [_group_of(sample) for sample in samples]
        self._note_unseen(name, [(samples[position], outputs[position].score) for position in unseen], run)
        return await self._settle_all(name, samples, groups, outputs, run, within_s=self._policy.answer_within_s)

    def run_means(self) -> dict[str, dict[str, float]]:
        """By reward and run, the mean of the latest scores."""
        return {name: means.run_means(_RUNS_KEPT) for name, means in self._means.items()}

    def restore(self, means: Mapping[str, Mapping[str, float]]) -> None:
        """What another router knew of the runs."""
        for name in means.keys() & self._router.lanes.keys():
            self._means_of(name).restore(means[name])

    def _means_of(self, name: str) -> NeutralMeans:
        means = self._means.get(name)
        if means is None:
            means = self._means[name] = NeutralMeans()
        return means

    def _note_unseen(self, name: str, ended: Sequence[tuple[Sample, float | None]], run: str | None) -> None:
        """Count them among their siblings, who wait for them."""
        means, now_s = self._means_of(name), self._router.now()
        for sample, _ in ended:
            means.begin(run or _NO_RUN, _group_of(sample), size=sample.group_size, now_s=now_s)
        for sample, score in ended:
            means.finish(run or _NO_RUN, _group_of(sample), score, now_s=now_s)
        self._announce()

    async def _score(
        self,
        name: str,
        items: Sequence[Item],
        groups: Sequence[str],
        *,
        run: str | None,
        group_size: int | None = None,
        priority: Priority = "train",
    ) -> list[RewardOutput]:
        """Score what is a sample; what failed while it was read keeps its failure."""
        means, begun_s = self._means_of(name), self._router.now()
        samples = [item for item in items if isinstance(item, Sample)]
        for group, item in zip(groups, items, strict=True):
            size = (item.group_size if isinstance(item, Sample) else None) or group_size
            means.begin(run or _NO_RUN, group, size=size, now_s=begun_s)
        scores: Sequence[float | None] = [None] * len(items)
        try:
            outputs = await self._router.score(
                name,
                samples,
                timeout_s=self._policy.answer_within_s,
                priority=priority,
                caller=run,
                group_size=group_size,
                is_held=True,
            )
            if len(samples) != len(items):
                scored = iter(outputs)
                outputs = [next(scored) if isinstance(item, Sample) else item for item in items]
            scores = [output.score for output in outputs]
        finally:  # a caller that leaves takes its samples out of the groups again
            ended_s = self._router.now()
            for group, score in zip(groups, scores, strict=True):
                means.finish(run or _NO_RUN, group, score, now_s=ended_s)
            self._announce()
        if None in scores and _unavailable(outputs):
            self._router.note_unavailable(run)
        return outputs

    async def _settle_all(
        self,
        name: str,
        items: Sequence[Item],
        groups: Sequence[str],
        outputs: Sequence[RewardOutput],
        run: str | None,
        *,
        within_s: float,
    ) -> list[TrainerAnswer]:
        failed = [position for position, output in enumerate(outputs) if output.score is None]
        numbers: dict[int, TrainerAnswer] = {}
        if failed:
            means, wait_s = self._means_of(name), min(self._policy.sibling_wait_s, within_s)
            filled = [self._settle(means, run or _NO_RUN, groups[position], wait_s) for position in failed]
            numbers = dict(zip(failed, await asyncio.gather(*filled), strict=True))
        answers = [
            numbers[position] if output.score is None else TrainerAnswer.scored(output, output.score)
            for position, output in enumerate(outputs)
        ]
        if self._router.records(run):
            samples = [item if isinstance(item, Sample) else Sample(response="") for item in items]
            self._record(name, samples, outputs, run, answers)
        return answers

    async def _settle(self, means: NeutralMeans, run: str, group: str, wait_s: float) -> TrainerAnswer:
        """What is told of one failed sample."""
        if self._policy.fallback is not None:
            return TrainerAnswer.filled(self._policy.fallback, drop=False)
        await self._wait_for_siblings(means, run, group, wait_s)
        return TrainerAnswer.filled(means.neutral(run, group), drop=self._policy.on_failure == "drop")

    async def _wait_for_siblings(self, means: NeutralMeans, run: str, group: str, wait_s: float) -> None:
        """Until the group's other samples are scored, or `wait_s` has passed."""
        if wait_s <= 0:
            return
        self._waiting_count += 1
        try:
            async with asyncio.timeout(wait_s):
                while not means.is_settled(run, group):
                    await self._news.wait()
        except TimeoutError:
            return  # the bound: what is known by now must do
        finally:
            self._waiting_count -= 1

    def _announce(self) -> None:
        """Wake everyone who waits for siblings; each looks for itself."""
        if self._waiting_count:
            self._news.set()
            self._news = asyncio.Event()

    def _record(
        self,
        name: str,
        samples: Sequence[Sample],
        outputs: Sequence[RewardOutput],
        run: str | None,
        answers: Sequence[TrainerAnswer] | None = None,
    ) -> None:
        told = None if answers is None else [answer.reward for answer in answers]
        self._router.record(name, samples, outputs, run=run, answered=told)


def _group_of(sample: Sample) -> str:
    """Whose mean stands in for the sample: its group's where it names one, else its prompt's."""
    return sample.group_id or sample.prompt


def _unavailable(outputs: Sequence[RewardOutput]) -> list[int]:
    kind = FailureKind.UNAVAILABLE
    return [at for at, output in enumerate(outputs) if output.failure is not None and output.failure.kind is kind]
