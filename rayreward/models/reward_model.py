"""A neural reward model as a reward: templates in front, a backend behind, one queue of steps between.

What arrives: samples, from several callers at once. What leaves: one output a sample, in order: the score that the
checkpoint means (normalised where it says so) beside the raw one, both in fp32. Samples are tokenised on their
callers' threads while the device works; whatever waits when it is free fills its next step (`StepQueue`). A sample
that cannot be encoded, or that the model cannot score, fails alone. Weights are loaded when the replica starts, or at
the first score.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rayreward.condition import Condition
from rayreward.errors import RewardLoadError
from rayreward.function import Isolation, RewardFunction
from rayreward.models.backend import Backend
from rayreward.models.building import build_backend, build_template
from rayreward.models.inputs import ModelInput, Reading
from rayreward.models.pair_template import PairTemplate
from rayreward.models.settings import ModelSettings
from rayreward.models.step_line import Answer
from rayreward.models.step_queue import StepQueue, StepStats
from rayreward.models.template import Template
from rayreward.models.weights import weights_digest
from rayreward.outcome import failed_output
from rayreward.sample import Sample
from rayreward.types import MetricRewardOutput, RewardOutput
from rayreward.versioning import content_version

_NOT_CONTENT = frozenset({"model_path", "revision", "device", "max_step_tokens", "probe"})
"""Settings that say where and in which portions a model computes; of the first two, what lies there counts."""


class RewardModel(RewardFunction):
    """The score that a reward model gives. Range: whatever it learned.

    The text is the trainer's own where it sent one (OpenRLHF's `query`: special tokens as they are, none added but an
    encoder's own); else the chat template of the tokenizer; else prompt and response as a pair, as encoders take them.
    Pictures and other parts that are no text are refused, never overlooked.

    An output's metadata holds the `raw_score` beside the normalised one, the `tokens` that were read, and how many of
    the prompt were cut (`truncated_tokens`). A model with several objectives shows them as components of weight 0: the
    score is what the model itself makes of them. A process reward model's `step_rewards` are one a step.

    Args:
        model_path: a folder or a hub name.
        device: "cuda", "cpu", …; by default CUDA where there is one.
        options: every other field of `rayreward.models.settings.ModelSettings`: `backend`, `dtype`, `max_length`,
            `max_step_tokens`, `normalize`, `appends_eos`, `chat_template`, `head`, `quantization`, …

    Raises:
        ConfigError: an unknown option, or a value that fits no other.
        RewardLoadError: at load: no such checkpoint, no reward model, or a head without trained weights.
        MissingExtraError: at load: torch or transformers are not installed.

    Example:
        >>> reward = RewardModel(model_path="OpenAssistant/reward-model-deberta", device="cuda", dtype="bfloat16")
        >>> reward.isolation, reward.settings.max_length
        ('thread', 4096)
    """

    isolation: Isolation = "thread"
    deterministic = True
    name = "reward_model"
    timeout_s = 60.0

    def __init__(self, model_path: str, device: str | None = None, **options: Any) -> None:
        self.settings = ModelSettings.from_options(model_path, device=device, **options)
        self._forget()

    def _forget(self) -> None:
        """What lives in one process: nothing is loaded."""
        self._lock = threading.Lock()
        self._queue: StepQueue | None = None
        self._template: Template | None = None
        self._condition = Condition()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in _PROCESS_STATE}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    @property
    def model_path(self) -> str:
        """A folder or a hub name."""
        return self.settings.model_path

    @property
    def version(self) -> str:
        """Content hash of the configuration and of the weights, where they lie on this machine."""
        settings = dataclasses.asdict(self.settings)
        content = {name: value for name, value in settings.items() if name not in _NOT_CONTENT}
        template = self.settings.chat_template
        if template is not None and "{" not in template and Path(template).is_file():
            content["chat_template"] = Path(template).read_text(encoding="utf-8")
        where = weights_digest(Path(self.model_path)) or f"{self.model_path}@{self.settings.revision}"
        return content_version("RewardModel", content, where)

    @property
    def scores_in_turn(self) -> bool:
        """Calls overlap: the samples of one fill the steps of another."""
        return False

    @property
    def serving_condition(self) -> Condition:
        """What loading is at; then how many tokens a step computes, and whether the model is lost."""
        queue = self._queue
        if queue is None:
            return self._condition
        return dataclasses.replace(self._condition, lost=queue.lost, step_tokens=queue.step_tokens)

    @property
    def step_stats(self) -> StepStats:
        """What the model has computed since it was loaded."""
        return StepStats() if self._queue is None else self._queue.stats

    def load(self) -> None:
        """Read tokenizer and weights, compare with the plain forward, and compute a first step; once."""
        with self._lock:
            if self._queue is None:
                self._queue = self._loaded()

    def _loaded(self) -> StepQueue:
        started_s = time.monotonic()
        self._note("loading weights")
        self._template = build_template(self.settings)
        self._check_template(self._template)
        backend = build_backend(self.settings, tell=self._note)
        backend.load()
        try:
            self._note("warming up")
            _warm_up(backend, self._template, self.settings)
        except BaseException:
            backend.close()
            raise
        found: dict[str, Any] = {"load_s": round(time.monotonic() - started_s, 3)}
        verdict = getattr(backend, "verdict", None)
        if verdict is not None:
            found["probe"] = "; ".join(map(str, verdict.gates))
        self._condition = Condition(found=found)
        return StepQueue(backend)

    def _check_template(self, template: Template) -> None:
        """Refuse a model that reads something else than this reward asks it."""
        if isinstance(template, PairTemplate):
            raise RewardLoadError(
                f"{type(self).__name__}: {self.model_path!r} compares two responses and scores none alone: serve it by "
                f"PairRanker, which compares the samples of a prompt"
            )

    def _note(self, doing: str) -> None:
        self._condition = Condition(doing)

    def unload(self) -> None:
        """Release the device; the next score loads again."""
        with self._lock:
            queue, self._queue, self._template = self._queue, None, None
        if queue is not None:
            queue.close()

    async def ascore(self, samples: Sequence[Sample]) -> list[RewardOutput]:
        """Score `samples` in the model's next steps, beside those of other calls."""
        units = await asyncio.to_thread(self._encoded, list(samples))
        read = [unit for unit in units if isinstance(unit, ModelInput)]
        queue = self._queue
        if queue is None:
            raise RuntimeError("the reward model was closed while a call was under way")
        # As the runner has it: the limit is a sample's, and a call of n may take n times as long.
        future = queue.ask(read, timeout_s=self.timeout_s * len(samples))
        answered: list[Answer] = await asyncio.wrap_future(future)
        answers = iter(answered)
        return [_output(unit, next(answers)) if isinstance(unit, ModelInput) else failed_output(unit) for unit in units]

    def _encoded(self, samples: Sequence[Sample]) -> list[ModelInput | Exception]:
        """The unit of each sample, or why it has none."""
        self.load()
        template = self._template
        if template is None:
            raise RuntimeError("the reward model was closed while a call was under way")
        return [_encode(template, sample) for sample in samples]


_PROCESS_STATE = frozenset({"_lock", "_queue", "_template", "_condition"})


def _warm_up(backend: Backend, template: Template, settings: ModelSettings) -> None:
    """Compute once what is slow only once; on a GPU a whole step, so that too little memory shows now and not later.

    Raises:
        RewardLoadError: the model cannot compute.
    """
    short = _encode(template, Sample(prompt="What is two and two?", response="It is four."))
    if not isinstance(short, ModelInput):
        return  # a model that reads more than a response, of which nothing can be made up
    units = [short]
    if _is_on_gpu(settings):
        full = _encode(template, Sample(prompt="word " * backend.max_length, response="It is four."))
        if isinstance(full, ModelInput):
            units += [full] * max(1, backend.max_step_tokens // len(full.ids))
    try:
        answers = backend.score(units)
    except Exception as error:  # the boundary: the device, its driver, a checkpoint's own code
        raise RewardLoadError(f"{settings.model_path!r} is loaded and cannot compute: {error}") from error
    broken = next((answer for answer in answers if isinstance(answer, MemoryError)), None)
    if broken is not None:
        raise RewardLoadError(f"{settings.model_path!r}: {broken}") from broken


def _is_on_gpu(settings: ModelSettings) -> bool:
    if settings.device is not None:
        return settings.device.startswith("cuda")
    import torch

    return bool(torch.cuda.is_available())


def _encode(template: Template, sample: Sample) -> ModelInput | Exception:
    try:
        return template.encode(sample)
    except Exception as error:  # noqa: BLE001 - the boundary: a strange sample, or a tokenizer that breaks on it
        return error


def _output(unit: ModelInput, answer: Answer) -> RewardOutput:
    """The output of what the model says of one unit."""
    metadata: dict[str, Any] = {"tokens": len(unit.ids)}
    if unit.truncated_tokens:
        metadata["truncated_tokens"] = unit.truncated_tokens
    if not isinstance(answer, Reading):
        return RewardOutput(metadata=metadata, failure=failed_output(answer).failure)
    if math.isfinite(answer.raw):
        metadata["raw_score"] = answer.raw
    try:
        objectives = {name: MetricRewardOutput(value, weight=0.0) for name, value in answer.heads.items()}
        return RewardOutput(answer.score, objectives, step_rewards=answer.steps, metadata=metadata)
    except Exception as error:  # noqa: BLE001 - a NaN is an invalid output of this sample
        return RewardOutput(metadata=metadata, failure=failed_output(error).failure)
