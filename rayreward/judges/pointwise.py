"""What judges of single samples share: their endpoint, their cache, and one output a sample.

What arrives: samples. What leaves: outputs, in order; every one says in its metadata which judge and which rubric it
is of, what it has cost, and what its response tried (`rayreward.judges.guard`). Pictures are refused, never overlooked.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from rayreward.boundary import Answer, outputs_of
from rayreward.condition import Condition
from rayreward.function import Isolation, RewardFunction
from rayreward.judges.asking import Cost, failure_of
from rayreward.judges.guard import Fenced, fence
from rayreward.judges.length_bias import LengthBias
from rayreward.judges.metered import MeteredEndpoint
from rayreward.sample import Sample, Trajectory
from rayreward.types import FailureKind, RewardOutput

CACHED_VERDICTS = 4096
"""Verdicts that a deterministic judge remembers in its process, the latest used; about 2 kB each with their reasons.
Served rewards have the router's cache before them; this one is for scripts, trainers and checks."""

Key = tuple[str, str, tuple[str, ...]]


class PointwiseJudge(RewardFunction):
    """Base of judges that see one sample at a time; subclasses write `_judge`.

    Attributes:
        judge_model: the model's name at the endpoint.
        rubric_hash: content hash of all that the judge is told beside the sample.
        deterministic: whether the same sample has the same verdict: at temperature 0, asked once.
    """

    isolation: Isolation = "inline"
    answers_each = True
    counts_by_run = True
    timeout_s = 60.0
    judge_model: str
    rubric_hash: str
    _endpoint: MeteredEndpoint

    def _open(self, endpoint: MeteredEndpoint) -> None:
        self._endpoint = endpoint
        self._cached: OrderedDict[Key, RewardOutput] = OrderedDict()
        self._length_bias = LengthBias()

    @property
    def endpoint(self) -> MeteredEndpoint:
        """Whom it asks; its ledger holds what each run has spent."""
        return self._endpoint

    @property
    def serving_condition(self) -> Condition:
        """Whether its own model is lost, where it has one in this process."""
        return Condition(lost=self._endpoint.lost)

    @property
    def length_bias(self) -> LengthBias:
        """How its scores go with the lengths of responses, of all that it was asked for in this process."""
        return self._length_bias

    def load(self) -> None:
        """Load the judge's own model, where it has one in this process."""
        load = getattr(self._endpoint.inner, "load", None)
        if load is not None:
            load()

    async def aclose(self) -> None:
        """Close the endpoint's connections."""
        await self._endpoint.aclose()

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """Ask for every sample, as many at a time as the endpoint allows; the same question once."""
        return await outputs_of(self, samples)

    async def answer_each(self, samples: Sequence[Sample], answer: Answer) -> None:
        """The same, each as soon as its verdict is there."""
        alike: dict[Key | int, list[int]] = {}
        for at, sample in enumerate(samples):
            key = (sample.prompt, sample.response, _unread(sample)) if self.deterministic else at
            alike.setdefault(key, []).append(at)

        async def ask(key: Key | int, positions: Sequence[int]) -> None:
            first, *others = positions
            output = await self._known_or_asked(key, samples[first])
            answer(first, output)
            for at in others:  # the first of equal samples carries the price
                answer(at, _without_cost(output))

        await asyncio.gather(*map(ask, alike.keys(), alike.values()))

    async def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """The verdict on one sample."""
        return (await self.ascore([trajectory]))[0]

    async def _judge(self, sample: Sample, response: Fenced, cost: Cost) -> RewardOutput:
        """The output of one sample; errors of the endpoint and unreadable replies are raised."""
        raise NotImplementedError(f"{type(self).__name__} must define _judge")

    def _verdict_words(self) -> tuple[str, ...]:
        """What verdicts are called in the judge's replies."""
        return ("score",)

    def _fence(self, name: str, text: str) -> Fenced:
        return fence(name, text, verdict_words=self._verdict_words())

    async def _known_or_asked(self, key: Key | int, sample: Sample) -> RewardOutput:
        """By a number, and not by what is asked, nothing is remembered: it may be another verdict next time."""
        known = None if isinstance(key, int) else self._recall(key)
        if known is not None:
            return _without_cost(known)
        output = await self._output(sample)
        if not isinstance(key, int):
            self._remember(key, output)
        return output

    async def _output(self, sample: Sample) -> RewardOutput:
        if unread := _unread(sample):
            message = f"the judge is sent text only, found a part of type {unread[0]!r}"
            return RewardOutput.failed(FailureKind.INVALID_INPUT, message)
        response, cost = self._fence("response", sample.response), Cost()
        try:
            output = await self._judge(sample, response, cost)
        except Exception as error:  # noqa: BLE001 - the boundary: endpoints are others' code, and a sample's failure its own
            output = failure_of(error)
        if output.score is not None:
            self._length_bias.add(len(sample.response), output.score)
        metadata = {**output.metadata, **self._facts(response, cost)}
        return RewardOutput(
            output.score, output.metrics, reason=output.reason, metadata=metadata, failure=output.failure
        )

    def _facts(self, response: Fenced, cost: Cost) -> dict[str, Any]:
        facts = {"judge_model": self.judge_model, "rubric_hash": self.rubric_hash, **cost.as_metadata()}
        return {**facts, "injection_signals": list(response.signals)} if response.signals else facts

    def _recall(self, key: Key) -> RewardOutput | None:
        output = self._cached.get(key)
        if output is not None:
            self._cached.move_to_end(key)
        return output

    def _remember(self, key: Key, output: RewardOutput) -> None:
        if output.is_valid:  # a failure may be another one next time
            self._cached[key] = output
            if len(self._cached) > CACHED_VERDICTS:
                self._cached.popitem(last=False)


def _unread(sample: Sample) -> tuple[str, ...]:
    """The types of its parts that are no text."""
    return tuple(kind for message in sample.messages for kind in message.unread_parts)


def _without_cost(output: RewardOutput) -> RewardOutput:
    """A verdict that was known: nobody was asked for it."""
    metadata = {**output.metadata, **Cost().as_metadata(), "is_cached": True}
    return RewardOutput(output.score, output.metrics, reason=output.reason, metadata=metadata, failure=output.failure)


def run_of(sample: Sample) -> str:
    """The training that a sample is of, by its metadata's ``run``; "" where it has none."""
    run = sample.metadata.get("run")
    return run if isinstance(run, str) else ""
