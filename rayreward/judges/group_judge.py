"""What judges that compare the samples of a prompt share: their endpoint, their deadline, and what each output says.

What arrives: groups. What leaves: outputs, in order; every one says in its metadata which judge and which rubric it is
of and what its response tried (`rayreward.judges.guard`); the first of a group carries what the whole group has cost.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar, Unpack

from rayreward.condition import Condition
from rayreward.errors import ConfigError
from rayreward.function import Isolation, RewardFunction
from rayreward.judges.asking import Cost
from rayreward.judges.gathering import gather_within
from rayreward.judges.guard import INSTRUCTION
from rayreward.judges.metered import MeteredEndpoint
from rayreward.judges.provider import ProviderSettings, build_endpoint
from rayreward.types import Failure, RewardOutput
from rayreward.versioning import content_version

T = TypeVar("T")

_ASKING_SHARE = 0.9
"""Of a group's deadline, that its questions may take: what is known by then must do, for the deadline itself would take
the scores of the whole group."""


class GroupJudge(RewardFunction):
    """Base of judges that see several samples at a time.

    Attributes:
        judge_model: the model's name at the endpoint.
        criteria: what the judge is told makes a response better.
        rubric_hash: content hash of all that the judge is told beside the samples.
    """

    isolation: Isolation = "inline"
    counts_by_run = True
    timeout_s = 120.0
    deterministic = True
    judge_model: str
    criteria: str
    rubric_hash: str
    _endpoint: MeteredEndpoint

    def _connect_judge(
        self,
        judge_model: str,
        criteria: str,
        *told: object,
        api_key: str | None,
        **settings: Unpack[ProviderSettings],
    ) -> None:
        """What every one is made with; `told` is what the judge is told beside the criteria."""
        if not criteria.strip():
            raise ConfigError(f"{type(self).__name__} needs criteria that say what is better, found an empty text")
        self.judge_model, self.criteria = judge_model, criteria
        self.base_url = settings.get("base_url", "")
        self.rubric_hash = content_version(INSTRUCTION, criteria, *told)
        self._endpoint = build_endpoint(judge_model, api_key=api_key, **settings)

    @property
    def endpoint(self) -> MeteredEndpoint:
        """Whom it asks; its ledger holds what each run has spent."""
        return self._endpoint

    @property
    def serving_condition(self) -> Condition:
        """Whether its own model is lost, where it has one in this process."""
        return Condition(lost=self._endpoint.lost)

    async def aclose(self) -> None:
        """Close the endpoint's connections."""
        await self._endpoint.aclose()

    async def _ask_all(self, questions: Sequence[Coroutine[Any, Any, T]]) -> list[T | Failure]:
        """All at once; as many at a time as the endpoint allows."""
        return await gather_within(questions, _ASKING_SHARE * self.timeout_s)

    def _in_order(
        self, outputs: Mapping[int, RewardOutput], cost: Cost, signals: Mapping[int, Sequence[str]]
    ) -> list[RewardOutput]:
        """The outputs by their samples' positions, with what they say of their making."""
        listed = []
        for at in range(len(outputs)):
            output = outputs[at]
            facts: dict[str, Any] = {"judge_model": self.judge_model, "rubric_hash": self.rubric_hash}
            if signals.get(at):
                facts["injection_signals"] = list(signals[at])
            facts |= (cost if at == 0 else Cost()).as_metadata()
            listed.append(
                RewardOutput(
                    output.score,
                    output.metrics,
                    reason=output.reason,
                    metadata={**output.metadata, **facts},
                    failure=output.failure,
                )
            )
        return listed
