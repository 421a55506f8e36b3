"""A pairwise reward model, such as PairRM, as a reward that sees the whole group.

What arrives: all samples of a prompt. What leaves: by how much each is better than its group's mean, in the model's
logits: their mean over the opponents, both orders of each pair together. Every ordered pair is one unit of the model;
an input that cannot be read costs the pairs that it is in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from rayreward.errors import ConfigError, RewardLoadError, ServiceUnavailableError
from rayreward.function import RewardFunction
from rayreward.judges.candidates import Candidates, read_candidates
from rayreward.judges.duels import Duel, outputs_of
from rayreward.judges.preference import Preference
from rayreward.judges.ranking import mean_margins, pairs_to_compare
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.reward_model import RewardModel
from rayreward.models.step_line import Answer
from rayreward.models.step_queue import StepQueue
from rayreward.models.template import Template
from rayreward.outcome import failed_output
from rayreward.sample import Sample
from rayreward.types import Failure, FailureKind, RewardOutput
from rayreward.versioning import content_version

_ASKING_SHARE = 0.9
"""Of a group's deadline, that its pairs may wait for the model: what is known by then is scored."""


@runtime_checkable
class PairEncoder(Protocol):
    """Turns two samples of a prompt into what the model reads."""

    def encode_samples(self, first: Sample, second: Sample) -> ModelInput:
        """One ordered pair.

        Raises:
            InvalidInputError: it cannot be read as the model was trained to.
        """
        ...


class PairRanker(RewardModel):
    """By how much a response is better than its group's mean, in a pairwise model's logits. Range: around 0.

    A group reward: it sees all samples of a prompt. A pairwise model says which of two is better, and not the same in
    both orders: every pair is computed in both, and their mean is one comparison. Groups of up to ``opponents + 1``
    different responses play a full round robin; in larger ones each meets `opponents` others on a ring in the order of
    a hash, and levels are fitted to what was seen. A group of n costs ``n * min(n - 1, opponents)`` forward passes of
    prompt and two responses; the same response given several times costs those of one, and scores the same.

    Each output has the component `orders_disagree`, the share of its pairs in which the model preferred whatever stood
    in one place; it has no weight. Metadata: `compared` of `comparisons`, and `first_place_share`.

    Args:
        model_path: a folder or a hub name, of a checkpoint with a pair head (``llm-blender/PairRM-hf``).
        device: "cuda", "cpu", …; by default CUDA where there is one.
        opponents: of each response at most: even, 2 or more.
        min_compared: the share of its comparisons that a sample needs to be scored at all.
        options: the others of `RewardModel`.

    Raises:
        ConfigError: a number out of its range, or an option that is unknown.
        RewardLoadError: at load: no such checkpoint, or one without a pair head.
        MissingExtraError: at load: torch or transformers are not installed.

    Example:
        >>> PairRanker("llm-blender/PairRM-hf", dtype="bfloat16").compares_groups
        True
    """

    name = "pair_ranker"

    def __init__(
        self,
        model_path: str,
        device: str | None = None,
        *,
        opponents: int = 8,
        min_compared: float = 0.5,
        **options: Any,
    ) -> None:
        if opponents < 2 or opponents % 2:
            raise ConfigError(f"PairRanker(opponents={opponents!r}): an even number from 2 is needed")
        if not 0.0 < min_compared <= 1.0:
            raise ConfigError(f"PairRanker(min_compared={min_compared!r}): a share above 0, and 1 at most, is needed")
        super().__init__(model_path, device, **{"head": "pair", **options})
        self.opponents, self.min_compared = opponents, min_compared

    @property
    def version(self) -> str:
        """Content hash of the model's own version and of how pairs become scores."""
        return content_version("PairRanker", super().version, self.opponents, self.min_compared)

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample, in order; groups are compared side by side."""
        return await RewardFunction.ascore(self, samples)

    async def compute_group(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample: by how much it is better than its group's mean."""
        found = read_candidates(samples)
        outputs = {at: RewardOutput(failure=failure) for at, failure in found.unreadable.items()}
        candidates = [samples[members[0]] for members in found.members]
        pairs = pairs_to_compare(len(candidates), self.opponents)
        asked = [(candidates[one], candidates[other]) for pair in pairs for one, other in (pair, pair[::-1])]
        said = await self._prefer(asked)
        duels = [Duel(*pair, said[2 * at : 2 * at + 2]) for at, pair in enumerate(pairs)]
        for members, output in zip(found.members, self._outputs(found, duels), strict=True):
            outputs |= dict.fromkeys(members, output)
        return [outputs[at] for at in range(len(samples))]

    def _check_template(self, template: Template) -> None:
        """Refuse a model that is asked about single samples."""
        _pairs_of(template, self.model_path)

    async def _prefer(self, asked: Sequence[tuple[Sample, Sample]]) -> list[Preference | Failure]:
        """What the model says of each ordered pair."""
        units = await asyncio.to_thread(self._encoded_pairs, asked)
        readable = [unit for unit in units if isinstance(unit, ModelInput)]
        said = await asyncio.wrap_future(self._open_queue.ask(readable, timeout_s=_ASKING_SHARE * self.timeout_s))
        answers = iter(said)
        return [_preference(next(answers)) if isinstance(unit, ModelInput) else unit for unit in units]

    def _encoded_pairs(self, asked: Sequence[tuple[Sample, Sample]]) -> list[ModelInput | Failure]:
        self.load()
        encoder = _pairs_of(self._template, self.model_path)
        return [_encode(encoder, first, second) for first, second in asked]

    @property
    def _open_queue(self) -> StepQueue:
        queue = self._queue
        if queue is None:
            raise ServiceUnavailableError("the pairwise model was closed while a call was under way")
        return queue

    def _outputs(self, found: Candidates, duels: Sequence[Duel]) -> Iterator[RewardOutput]:
        return outputs_of(found, duels, mean_margins, min_compared=self.min_compared)


def _pairs_of(template: object, model_path: str) -> PairEncoder:
    if isinstance(template, PairEncoder):
        return template
    raise RewardLoadError(
        f"PairRanker: {model_path!r} is no pairwise model: give one with a pair head, such as llm-blender/PairRM-hf, "
        f"or take RewardModel"
    )


def _encode(encoder: PairEncoder, first: Sample, second: Sample) -> ModelInput | Failure:
    try:
        return encoder.encode_samples(first, second)
    except Exception as error:  # noqa: BLE001 - the boundary: a strange text, or a tokenizer that breaks on it
        return _failure(error)


def _preference(answer: Answer) -> Preference | Failure:
    return Preference.of_logit(answer.score) if isinstance(answer, Reading) else _failure(answer)


def _failure(error: Exception) -> Failure:
    return failed_output(error).failure or Failure(FailureKind.ERROR, str(error))
