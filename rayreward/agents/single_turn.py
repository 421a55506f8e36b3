"""OpenRLHF's own single-turn executor, scored through Ray instead of HTTP.

What arrives: a prompt in a rollout actor. What leaves: OpenRLHF's response with its reward, which is always a finite
number. Generation, tokens and log probabilities are OpenRLHF's own; the sample that is scored is the one that its HTTP
request would have made, and knows its group besides. An engine's errors pass: they concern everybody.
"""

from __future__ import annotations

from typing import Any

from openrlhf.utils.agent import SingleTurnAgentExecutor

from rayreward.agents.binding import Binding
from rayreward.agents.groups import Group, Groups, member_of
from rayreward.agents.scorer import Scorer, build_scorer, trainer_fields
from rayreward.errors import InvalidInputError
from rayreward.sample import Sample
from rayreward.trainers.openrlhf import TrainerAnswer, sample_of
from rayreward.types import FailureKind, RewardOutput


class SingleTurnExecutor(SingleTurnAgentExecutor):  # type: ignore[misc]
    """Generates one response a sample and has it scored.

    Args:
        binding: who scores; what the job says, where left out.
        scorer: in place of the router.
    """

    def __init__(self, binding: Binding | None = None, scorer: Scorer | None = None) -> None:
        super().__init__()  # without reward endpoints: OpenRLHF asks nobody
        self._scorer = scorer or build_scorer(binding or Binding.from_env())
        self._groups = Groups()

    async def execute(
        self,
        prompt: str,
        label: Any,
        sampling_params: Any,
        max_length: int,
        hf_tokenizer: Any,
        llm_engine: Any,
        images: Any = None,
    ) -> dict[str, Any]:
        """OpenRLHF's response, scored."""
        async with member_of(self._groups, prompt) as group:
            response: dict[str, Any] = await super().execute(
                prompt, label, sampling_params, max_length, hf_tokenizer, llm_engine, images
            )
            query = hf_tokenizer.decode(response["observation_tokens"], skip_special_tokens=False)
            return {**response, **trainer_fields(await self._score(query, prompt, label, group))}

    async def _score(self, query: str, prompt: str, label: Any, group: Group) -> TrainerAnswer:
        try:
            sample = sample_of(query, prompt, label, group_id=group.id, group_size=group.size)
        except InvalidInputError as error:
            sample = Sample(prompt=prompt, response="", group_id=group.id, group_size=group.size)
            return await self._scorer.settle(sample, RewardOutput.failed(FailureKind.INVALID_INPUT, str(error)))
        [answer] = await self._scorer.answer([sample])
        return answer
