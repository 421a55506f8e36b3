"""A language model that compares the responses of a prompt two by two.

What arrives: all samples of a prompt, or single ones with a reference answer. What leaves: how likely each is to be
preferred, in [0, 1]. Each pair is asked in both orders, since judges like a place; where the two orders contradict each
other the output says so. A comparison that fails costs its two samples one opponent, not their scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from rayreward.errors import ConfigError, InvalidInputError
from rayreward.function import Isolation, RewardFunction
from rayreward.judges.candidates import Candidates, read_candidates
from rayreward.judges.duels import Duel, outputs_of
from rayreward.judges.endpoint import Endpoint
from rayreward.judges.gathering import gather_within
from rayreward.judges.preference import CRITERIA, Manner, Preference, pair_question, read_preference
from rayreward.judges.ranking import pairs_to_compare, win_chances
from rayreward.judges.verdicts import UnparseableError
from rayreward.types import Failure, FailureKind, RewardOutput, Sample, Trajectory

Against = Literal["siblings", "label"]
"""What a response is compared with: the other samples of its prompt, or its label, a reference answer."""


class PairwiseJudge(RewardFunction):
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
        base_url: the endpoint's root, up to ``/v1``.
        against: "siblings", or "label".
        manner: "logprobs" (one token a request) or "text" (the judge argues first, and may call a tie).
        opponents: of each response at most: even, 2 or more.
        in_both_orders: False asks half as often and scores a judge's liking for a place along with the responses.
        min_compared: the share of its comparisons that a sample needs to be scored at all.
        retries: further attempts at a reply without a verdict.
        endpoint: who is asked, instead of `judge_model` at `base_url`.

    Raises:
        ConfigError: an unknown choice, or a number out of its range.

    Example:
        >>> PairwiseJudge("judge", "The shorter one is better.", base_url="http://localhost:8000/v1").compares_groups
        True
    """

    isolation: Isolation = "inline"
    name = "pairwise_judge"
    timeout_s = 120.0

    def __init__(
        self,
        judge_model: str,
        criteria: str = CRITERIA,
        api_key: str | None = None,
        *,
        base_url: str = "https://api.openai.com/v1",
        against: Against = "siblings",
        manner: Manner = "logprobs",
        opponents: int = 8,
        in_both_orders: bool = True,
        min_compared: float = 0.5,
        retries: int = 2,
        max_concurrency: int = 32,
        endpoint: Endpoint | None = None,
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
        if not criteria.strip():
            raise ConfigError("PairwiseJudge needs criteria that say what is better, found an empty text")
        self.judge_model, self.criteria, self.base_url = judge_model, criteria, base_url.rstrip("/")
        self.against, self.manner, self.opponents, self.in_both_orders = against, manner, opponents, in_both_orders
        self.min_compared, self.retries, self.max_concurrency = min_compared, retries, max_concurrency
        self._api_key, self._endpoint = api_key, endpoint

    @property
    def _asked(self) -> Endpoint:
        if self._endpoint is None:
            raise NotImplementedError
        return self._endpoint

    @property
    def compares_groups(self) -> bool:
        """Whether responses are compared with their siblings."""
        return self.against == "siblings"

    async def compute_group(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample: how likely it is to be preferred to its siblings."""
        found = read_candidates(samples)
        outputs = {at: RewardOutput(failure=failure) for at, failure in found.unreadable.items()}
        pairs = pairs_to_compare(len(found.texts), self.opponents)
        duels = await self._compare(found, pairs)
        for members, output in zip(found.members, self._outputs(found, duels), strict=True):
            outputs |= dict.fromkeys(members, output)
        return [outputs[at] for at in range(len(samples))]

    async def compute_reward(self, trajectory: Trajectory) -> RewardOutput:
        """How likely the response is to be preferred to the sample's label."""
        if not isinstance(trajectory.label, str) or not trajectory.label:
            raise InvalidInputError(
                f"PairwiseJudge(against='label') compares with a reference answer in the sample's label, found "
                f"{trajectory.label!r:.80}"
            )
        reference = Sample([*trajectory.original_messages, {"role": "assistant", "content": trajectory.label}])
        found = read_candidates([trajectory, reference])
        if found.unreadable:
            return RewardOutput(failure=next(iter(found.unreadable.values())))
        pairs = pairs_to_compare(len(found.texts), self.opponents)
        outputs = self._outputs(found, await self._compare(found, pairs))
        return next(output for members, output in zip(found.members, outputs, strict=True) if 0 in members)

    async def _compare(self, found: Candidates, pairs: Sequence[tuple[int, int]]) -> list[Duel]:
        """Each pair in both orders, all at once."""
        orders = 2 if self.in_both_orders else 1
        asked = [order for one, other in pairs for order in ((one, other), (other, one))[:orders]]
        questions = [self._ask(found.shared, found.texts[one], found.texts[other]) for one, other in asked]
        # Some time before the deadline that would take the whole group: what is known by then must do.
        said = await gather_within(questions, 0.9 * self.timeout_s)
        return [Duel(*pair, said[orders * at : orders * (at + 1)]) for at, pair in enumerate(pairs)]

    async def _ask(self, shared: str, first: str, second: str) -> Preference | Failure:
        attempt = 0
        while True:
            question = pair_question(shared, first, second, criteria=self.criteria, manner=self.manner, seed=attempt)
            try:
                return read_preference(await self._asked.ask(question), self.manner)
            except UnparseableError as error:
                attempt += 1
                if attempt > self.retries:
                    return Failure(FailureKind.UNPARSEABLE, str(error))

    def _outputs(self, found: Candidates, duels: Sequence[Duel]) -> Iterator[RewardOutput]:
        return outputs_of(found, duels, win_chances, min_compared=self.min_compared)
