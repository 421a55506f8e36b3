"""A pairwise reward model, such as PairRM, as a reward that sees the whole group.

What arrives: all samples of a prompt. What leaves: by how much each is better than its group's mean, in the model's
logits: their mean over the opponents, both orders of each pair together. Every ordered pair is one unit of the model;
an input that cannot be read costs the pairs that it is in.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from rayreward.condition import Condition
from rayreward.errors import ConfigError, InvalidInputError, RewardLoadError
from rayreward.function import Isolation, RewardFunction
from rayreward.judges.candidates import Candidates, read_candidates
from rayreward.judges.duels import Duel, outputs_of
from rayreward.judges.preference import Preference
from rayreward.judges.ranking import mean_margins, pairs_to_compare
from rayreward.models.backend import Backend
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.settings import ModelSettings
from rayreward.models.step_queue import StepQueue
from rayreward.models.weights import weights_digest
from rayreward.outcome import failed_output
from rayreward.types import Failure, FailureKind, RewardOutput, Sample
from rayreward.versioning import content_version


@runtime_checkable
class PairEncoder(Protocol):
    """Turns two samples of a prompt into what the model reads."""

    def encode_samples(self, first: Sample, second: Sample) -> ModelInput:
        """One ordered pair.

        Raises:
            InvalidInputError: it cannot be read as the model was trained to.
        """
        ...


class PairRanker(RewardFunction):
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
        opponents: of each response at most: even, 2 or more.
        min_compared: the share of its comparisons that a sample needs to be scored at all.
        options: how the model runs: see `rayreward.models.settings.ModelSettings`.

    Raises:
        ConfigError: a number out of its range, or an option that is unknown.
        RewardLoadError: at load: no such checkpoint, or one without a pair head.
        MissingExtraError: at load: torch or transformers are not installed.

    Example:
        >>> PairRanker("llm-blender/PairRM-hf", dtype="bfloat16").compares_groups
        True
    """

    isolation: Isolation = "thread"
    deterministic = True
    name = "pair_ranker"
    timeout_s = 60.0

    def __init__(self, model_path: str, *, opponents: int = 8, min_compared: float = 0.5, **options: Any) -> None:
        if opponents < 2 or opponents % 2:
            raise ConfigError(f"PairRanker(opponents={opponents!r}): an even number from 2 is needed")
        if not 0.0 < min_compared <= 1.0:
            raise ConfigError(f"PairRanker(min_compared={min_compared!r}): a share above 0, and 1 at most, is needed")
        self.settings = ModelSettings.from_options(model_path, **{"head": "pair", **options})
        self.opponents, self.min_compared = opponents, min_compared
        self._model: _PairModel | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_model": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _lock=threading.Lock())

    @property
    def version(self) -> str:
        """Content hash of the configuration and of the weights, where they lie on this machine."""
        path = self.settings.model_path
        rules = (self.opponents, self.min_compared)
        return content_version("PairRanker", self.settings, rules, weights_digest(Path(path)) or path)

    @property
    def serving_condition(self) -> Condition:
        """Whether its model can still score, and in what steps."""
        if self._model is None:
            return Condition()
        return Condition(lost=self._model.queue.lost, step_tokens=self._model.step_tokens)

    def load(self) -> None:
        """Read tokenizer and weights, once."""
        self._loaded()

    def unload(self) -> None:
        """Release the device."""
        with self._lock:
            model, self._model = self._model, None
        if model is not None:
            model.queue.close()

    def _loaded(self) -> _PairModel:
        with self._lock:
            if self._model is None:
                encoder, backend = self._open()
                backend.load()
                step_tokens = None if backend.steps_overlap else backend.max_step_tokens
                self._model = _PairModel(encoder, StepQueue(backend), step_tokens)
            return self._model

    def _open(self) -> tuple[PairEncoder, Backend]:
        """The model's parts, its weights not read yet."""
        from rayreward.models.building import build_backend, build_template  # loads transformers when it is used

        template = build_template(self.settings)
        if not isinstance(template, PairEncoder):
            raise RewardLoadError(
                f"PairRanker: {self.settings.model_path!r} is no pairwise model: give one with a pair head, such as "
                f"llm-blender/PairRM-hf, or take RewardModel"
            )
        return template, build_backend(self.settings)

    async def compute_group(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """One output a sample: by how much it is better than its group's mean."""
        model = await asyncio.to_thread(self._loaded)
        found = read_candidates(samples)
        outputs = {at: RewardOutput(failure=failure) for at, failure in found.unreadable.items()}
        candidates = [samples[members[0]] for members in found.members]
        pairs = pairs_to_compare(len(candidates), self.opponents)
        asked = [(candidates[one], candidates[other]) for pair in pairs for one, other in (pair, pair[::-1])]
        said = await self._prefer(model, asked)
        duels = [Duel(*pair, said[2 * at : 2 * at + 2]) for at, pair in enumerate(pairs)]
        for members, output in zip(found.members, self._outputs(found, duels), strict=True):
            outputs |= dict.fromkeys(members, output)
        return [outputs[at] for at in range(len(samples))]

    async def _prefer(self, model: _PairModel, asked: Sequence[tuple[Sample, Sample]]) -> list[Preference | Failure]:
        """What the model says of each ordered pair."""
        units = await asyncio.to_thread(lambda: [model.encode(first, second) for first, second in asked])
        readable = [unit for unit in units if isinstance(unit, ModelInput)]
        said = await asyncio.wrap_future(model.queue.ask(readable, timeout_s=0.9 * self.timeout_s))
        answers = iter(said)
        return [_preference(next(answers)) if isinstance(unit, ModelInput) else unit for unit in units]

    def _outputs(self, found: Candidates, duels: Sequence[Duel]) -> Iterator[RewardOutput]:
        return outputs_of(found, duels, mean_margins, min_compared=self.min_compared)


@dataclass(frozen=True, slots=True)
class _PairModel:
    """A model that is loaded."""

    encoder: PairEncoder
    queue: StepQueue
    step_tokens: int | None

    def encode(self, first: Sample, second: Sample) -> ModelInput | Failure:
        try:
            return self.encoder.encode_samples(first, second)
        except InvalidInputError as error:
            return Failure(FailureKind.INVALID_INPUT, str(error))


def _preference(answer: Reading | Exception) -> Preference | Failure:
    if isinstance(answer, Reading):
        return Preference.of_logit(answer.score)
    failure = failed_output(answer).failure
    return failure or Failure(FailureKind.ERROR, str(answer))
