"""A language model that scores all responses of a prompt in one reply.

What arrives: all samples of a prompt. What leaves: a score in [0, 1] for each, made by comparing them: what a training
that learns from differences within a group needs, without a scale that must mean the same in every prompt.

After RULER (OpenPipe, Agent Reinforcement Trainer, https://art.openpipe.ai/fundamentals/ruler): one request a group,
what the candidates share shown once. The words of the prompt are ours.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Unpack

from rayreward.errors import ConfigError
from rayreward.judges.asking import MAX_CORRECTIONS, Asker, Cost
from rayreward.judges.candidates import Candidates, content_digest, read_candidates
from rayreward.judges.endpoint import Reply
from rayreward.judges.gathering import commonest
from rayreward.judges.group_judge import GroupJudge
from rayreward.judges.pointwise import run_of
from rayreward.judges.provider import ProviderSettings
from rayreward.judges.scorecard import (
    ASK,
    CRITERIA,
    MAX_CANDIDATES,
    TASK,
    ListBlocks,
    Mark,
    form_of,
    list_question,
    read_marks,
)
from rayreward.judges.verdicts import UnparseableError
from rayreward.judges.windows import cut_into_windows, one_scale
from rayreward.sample import Sample
from rayreward.types import Failure, FailureKind, MetricRewardOutput, RewardOutput


class ListwiseJudge(GroupJudge):
    """What a judge gives a response that it sees beside its siblings. Range [0, 1].

    A group reward: one request a group of up to `window` different responses, in an order that a hash of their texts
    decides. A longer list is cut into parts that have two candidates in common, and each part is moved so that these
    score what they do on average: ``ceil((n - 2) / (window - 2))`` requests. The same response given several times is
    one candidate, and scores the same. A reply that leaves a candidate out, names it twice or gives it a score out of
    range is asked for again; what is missing after that fails as `unparseable`, and the others keep their scores.

    With several `shuffles` a group is asked for as often, each time in another order, and scores are means. Each output
    then has the component `shuffles_spread`, the highest of its scores less the lowest; it has no weight.

    Args:
        judge_model: the model's name at the endpoint.
        criteria: what makes a response better, in a few sentences.
        api_key: else the environment's OPENAI_API_KEY. It is not part of the version.
        window: candidates in one request, from 4 to 26.
        shuffles: how often each group is asked for.
        max_corrections: further questions after a reply that lacks a candidate's score.
        seed: for servers that take one.
        settings: where, how fast and for how much it is asked: see `ProviderSettings`. A question's `timeout_s` is
            among them; the whole group's is the reward's own, 120 s.

    Raises:
        ConfigError: a number out of its range, or criteria that say nothing.

    Example:
        >>> ListwiseJudge("judge", base_url="http://localhost:8000/v1").compares_groups
        True
    """

    name = "listwise_judge"

    def __init__(
        self,
        judge_model: str,
        criteria: str = CRITERIA,
        api_key: str | None = None,
        *,
        window: int = 8,
        shuffles: int = 1,
        max_corrections: int = MAX_CORRECTIONS,
        seed: int | None = None,
        **settings: Unpack[ProviderSettings],
    ) -> None:
        if not 4 <= window <= MAX_CANDIDATES:
            raise ConfigError(f"ListwiseJudge(window={window!r}): from 4 to {MAX_CANDIDATES} candidates are needed")
        if shuffles < 1:
            raise ConfigError(f"ListwiseJudge(shuffles={shuffles!r}): 1 or more is needed")
        self.window, self.shuffles, self.max_corrections, self.seed = window, shuffles, max_corrections, seed
        self._connect_judge(judge_model, criteria, TASK, ASK, api_key=api_key, **settings)

    async def compute_group(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample."""
        found, cost, run = read_candidates(samples), Cost(), run_of(samples[0])
        lists = [places for shuffle in range(self.shuffles) for places in _shuffled(found, self.window, shuffle)]
        said = await self._ask_all([self._ask(found, places, run, cost) for places in lists])
        parts = len(lists) // self.shuffles
        starts = range(0, len(lists), parts or 1)
        rounds = [_Round.of(lists[start : start + parts], said[start : start + parts]) for start in starts]
        outputs = {at: RewardOutput(failure=failure) for at, failure in found.unreadable.items()}
        signals: dict[int, Sequence[str]] = {}
        for candidate, members in enumerate(found.members):
            outputs |= dict.fromkeys(members, _output(candidate, rounds))
            signals |= dict.fromkeys(members, next(iter(_signals(said, candidate)), ()))
        return self._in_order(outputs, cost, signals)

    async def _ask(self, found: Candidates, places: Sequence[int], run: str, cost: Cost) -> _Marked:
        """The marks of one list: those of the reply that has the most, for marks of two replies are two scales."""
        blocks = ListBlocks.of(found.shared, [found.texts[place] for place in places])
        best: dict[int, Mark] = {}

        def read(reply: Reply) -> dict[int, Mark]:
            nonlocal best
            marks = read_marks(reply.text, len(places))
            best = max(best, marks, key=len)
            if missing := [letter for at, letter in enumerate(blocks.letters) if at not in marks]:
                raise UnparseableError(f"the candidates {', '.join(missing)} have no single score from 0 to 1")
            return marks

        question = list_question(blocks, criteria=self.criteria, run=run, seed=self.seed)
        problem = ""
        try:
            await Asker(self._endpoint, read, form_of(blocks.letters), self.max_corrections).ask(question, cost)
        except UnparseableError as error:
            problem = str(error)
        signals = {place: block.signals for place, block in zip(places, blocks.candidates, strict=True)}
        return _Marked({places[at]: mark for at, mark in best.items()}, problem, signals)


@dataclass(frozen=True, slots=True)
class _Marked:
    """The marks of one list, by candidate, and what is wrong with those that are missing."""

    marks: Mapping[int, Mark]
    problem: str
    signals: Mapping[int, Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Round:
    """One shuffle's answers."""

    scores: dict[int, float]
    explanations: dict[int, str]
    failures: dict[int, Failure]

    @classmethod
    def of(cls, lists: Sequence[Sequence[int]], said: Sequence[_Marked | Failure]) -> _Round:
        """The parts of a list as one scale."""
        answered = [part for part in said if isinstance(part, _Marked)]
        given = [{at: mark.score for at, mark in part.marks.items()} for part in answered]
        anchors = set(lists[0]).intersection(*lists[1:])  # all of them, where there is one list
        scores = one_scale(given, anchors)
        words = {at: mark.explanation for part in answered for at, mark in part.marks.items() if mark.explanation}
        failures: dict[int, Failure] = {}
        for places, part in zip(lists, said, strict=True):
            failure = part if isinstance(part, Failure) else Failure(FailureKind.UNPARSEABLE, part.problem)
            failures |= {place: failure for place in places if place not in scores}
        return cls(scores, words, failures)


def _shuffled(found: Candidates, window: int, shuffle: int) -> list[list[int]]:
    """The lists of one shuffle: an order that the texts decide, each list in one of its own."""
    draw = random.Random(content_digest(found.shared, *found.texts, str(shuffle)))
    order = list(range(len(found.texts)))
    draw.shuffle(order)
    lists = [[order[at] for at in places] for places in cut_into_windows(len(order), window)] if order else []
    for places in lists:
        draw.shuffle(places)  # or the anchors would always stand first
    return lists


def _signals(said: Sequence[_Marked | Failure], candidate: int) -> Iterator[Sequence[str]]:
    """What the candidate's text tries; the same in every list that shows it."""
    return (part.signals[candidate] for part in said if isinstance(part, _Marked) and candidate in part.signals)


def _output(candidate: int, rounds: Sequence[_Round]) -> RewardOutput:
    scores = [one.scores[candidate] for one in rounds if candidate in one.scores]
    if not scores:
        return RewardOutput(failure=commonest([one.failures[candidate] for one in rounds]))
    spread = MetricRewardOutput(max(scores) - min(scores), weight=0.0)
    return RewardOutput(
        sum(scores) / len(scores),
        {"shuffles_spread": spread} if len(rounds) > 1 else None,
        reason=next((one.explanations[candidate] for one in rounds if candidate in one.explanations), None),
        metadata={"shuffles": len(scores)},
    )
