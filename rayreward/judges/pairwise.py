"""A language model that compares the responses of a prompt two by two.

What arrives: all samples of a prompt, or single ones with a reference answer. What leaves: how likely each is to be
preferred, in [0, 1]. Each pair is asked in both orders, since judges like a place; where the two orders contradict each
other the output says so. A comparison that fails costs its two samples one opponent, not their scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Unpack

from rayreward.errors import ConfigError, InvalidInputError
from rayreward.judges.asking import MAX_CORRECTIONS, Asker, Cost
from rayreward.judges.candidates import read_candidates
from rayreward.judges.duels import Duel, outputs_of
from rayreward.judges.endpoint import Reply
from rayreward.judges.group_judge import GroupJudge
from rayreward.judges.pointwise import run_of
from rayreward.judges.preference import (
    ASK,
    CRITERIA,
    TASK,
    Manner,
    PairBlocks,
    Preference,
    pair_question,
    read_preference,
)
from rayreward.judges.provider import ProviderSettings
from rayreward.judges.ranking import pairs_to_compare, win_chances
from rayreward.sample import Sample, Trajectory
from rayreward.types import RewardOutput

Against = Literal["siblings", "label"]
"""What a response is compared with: the other samples of its prompt, or its label, a reference answer."""


class PairwiseJudge(GroupJudge):
    """How likely a judge is to prefer a response to its siblings. Range [0, 1]; 0.5 among equals.

    A group reward: it sees all samples of a prompt. Every pair is asked twice, once in each order, and the two are one
    comparison: the mean of the log odds of "A" and "B", or of the verdicts where the judge answers in words. Groups of
    up to ``opponents + 1`` different responses play a full round robin; in larger ones each meets `opponents` others on
    a ring in the order of a hash, and strengths are fitted (see `rayreward.judges.ranking`). A group of n so costs
    ``n * min(n - 1, opponents)`` requests; the same response given several times costs those of one, and scores the
    same.

    With ``against="label"`` each sample alone is compared with its label, a reference answer: two requests a sample.

    Each output has the component `orders_disagree`, the share of its pairs in which the judge preferred whatever stood
    in one place; it has no weight. Metadata: `compared` of `comparisons`, and `first_place_share`, the mean chance of
    what stood first in the whole group: 0.5 for a judge without a liking for a place.

    Args:
        judge_model: the model's name at the endpoint.
        criteria: what makes a response better, in a few sentences.
        api_key: else the environment's OPENAI_API_KEY. It is not part of the version.
        against: "siblings", or "label".
        manner: "logprobs" (one token a request) or "text" (the judge argues first, and may call a tie).
        opponents: of each response at most: even, 2 or more.
        in_both_orders: False asks half as often and scores a judge's liking for a place along with the responses.
        min_compared: the share of its comparisons that a sample needs to be scored at all.
        max_corrections: further questions after a reply without a verdict.
        seed: for servers that take one.
        settings: where, how fast and for how much it is asked: see `ProviderSettings`. A question's `timeout_s` is
            among them; the whole group's is the reward's own, 120 s.

    Raises:
        ConfigError: an unknown choice, or a number out of its range.

    Example:
        >>> PairwiseJudge("judge", "The shorter one is better.", base_url="http://localhost:8000/v1").compares_groups
        True
    """

    name = "pairwise_judge"

    def __init__(
        self,
        judge_model: str,
        criteria: str = CRITERIA,
        api_key: str | None = None,
        *,
        against: Against = "siblings",
        manner: Manner = "logprobs",
        opponents: int = 8,
        in_both_orders: bool = True,
        min_compared: float = 0.5,
        max_corrections: int = MAX_CORRECTIONS,
        seed: int | None = None,
        **settings: Unpack[ProviderSettings],
    ) -> None:
        if against not in ("siblings", "label"):
            raise ConfigError(f"PairwiseJudge(against={against!r}): known are 'siblings' and 'label'")
        if manner not in ("logprobs", "text"):
            raise ConfigError(f"PairwiseJudge(manner={manner!r}): known are 'logprobs' and 'text'")
        if opponents < 2 or opponents % 2:
            raise ConfigError(f"PairwiseJudge(opponents={opponents!r}): an even number from 2 is needed")
        if not 0.0 < min_compared <= 1.0:
            raise ConfigError(
                f"PairwiseJudge(min_compared={min_compared!r}): a share above 0, and 1 at most, is needed"
            )
        self.against, self.manner, self.opponents, self.in_both_orders = against, manner, opponents, in_both_orders
        self.min_compared, self.max_corrections, self.seed = min_compared, max_corrections, seed
        self._connect_judge(judge_model, criteria, TASK, ASK[manner], api_key=api_key, **settings)

    @property
    def compares_groups(self) -> bool:
        """Whether responses are compared with their siblings."""
        return self.against == "siblings"

    async def compute_group(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample: how likely it is to be preferred to its siblings."""
        found, cost = read_candidates(samples), Cost()
        blocks = PairBlocks.of(found.shared, found.texts)
        duels = await self._compare(blocks, run_of(samples[0]), cost)
        outputs = {at: RewardOutput(failure=failure) for at, failure in found.unreadable.items()}
        signals: dict[int, Sequence[str]] = {}
        made = outputs_of(found, duels, win_chances, min_compared=self.min_compared)
        for members, output, block in zip(found.members, made, blocks.first, strict=True):
            outputs |= dict.fromkeys(members, output)
            signals |= dict.fromkeys(members, block.signals)
        return self._in_order(outputs, cost, signals)

    async def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """How likely the response is to be preferred to the sample's label."""
        if not isinstance(trajectory.label, str) or not trajectory.label:
            raise InvalidInputError(
                f"PairwiseJudge(against='label') compares with a reference answer in the sample's label, found "
                f"{trajectory.label!r:.80}"
            )
        reference = Sample([*trajectory.original_messages, {"role": "assistant", "content": trajectory.label}])
        return (await PairwiseJudge.compute_group(self, [trajectory, reference]))[0]

    async def _compare(self, blocks: PairBlocks, run: str, cost: Cost) -> list[Duel]:
        """Each pair in both orders, all at once."""
        pairs = pairs_to_compare(len(blocks.first), self.opponents)
        orders = 2 if self.in_both_orders else 1
        asker = Asker(self._endpoint, self._read, ASK[self.manner], self.max_corrections)
        questions = [
            pair_question(blocks, *order, criteria=self.criteria, manner=self.manner, run=run, seed=self.seed)
            for one, other in pairs
            for order in ((one, other), (other, one))[:orders]
        ]
        said = await self._ask_all([asker.ask(question, cost) for question in questions])
        return [Duel(*pair, said[orders * at : orders * (at + 1)]) for at, pair in enumerate(pairs)]

    def _read(self, reply: Reply) -> Preference:
        return read_preference(reply, self.manner)
