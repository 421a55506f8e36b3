"""A reward as a function for TRL's trainers.

What arrives: what TRL hands to reward functions: prompts and completions (texts or chats), the data set's columns,
the trainer's state and its hooks for logging. What leaves: one float a completion, or None where there is no score;
through the hooks, the mean of each named component and how many samples failed, by kind. A failed sample is in no mean.

What TRL does with None, read in its ``grpo_trainer.py``: from 1.6 on a completion that no reward function scored is
out of its group's mean and has advantage 0. Where another reward function did score it, None counts as 0 in the sum:
for several functions take ``on_failure="neutral"``, or better one composite reward.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from rayreward.errors import ConfigError
from rayreward.function import RewardFunction
from rayreward.messages import as_messages, prompt_text
from rayreward.sample import Sample
from rayreward.types import RewardOutput

if TYPE_CHECKING:
    from rayreward.client.run import RunClient

OnFailure = Literal["none", "neutral"]
"""What TRL is told of a failed sample: None, or the mean of the valid samples of the same prompt in the same call."""

_LABEL_COLUMNS = ("label", "ground_truth", "solution", "answer")
"""Columns that hold the truth in common data sets, the first present wins."""

_NOT_COLUMNS = frozenset(
    {
        "completion_ids",
        "completions_ids",
        "environments",
        "log_extra",
        "log_metric",
        "prompts_ids",
        "trainer_state",
    }
)


class _Adapter:
    """What both forms do with what they are handed, before and after scoring."""

    def __init__(
        self,
        reward: RewardFunction | RunClient,
        *,
        name: str | None = None,
        on_failure: OnFailure = "none",
        clip_range: tuple[float, float] | None = None,
    ) -> None:
        if on_failure not in get_args(OnFailure):
            raise ConfigError(f"on_failure={on_failure!r}: known are {', '.join(map(repr, get_args(OnFailure)))}")
        self._reward, self._on_failure, self._clip_range = reward, on_failure, clip_range
        self._kinds: set[str] = set()
        own_name = reward.name or (type(reward).__name__ if isinstance(reward, RewardFunction) else "reward")
        self.__name__ = name or own_name

    def _answer(
        self, samples: Sequence[Sample], outputs: Sequence[RewardOutput], columns: Mapping[str, Any]
    ) -> list[float | None]:
        if columns.get("log_metric") is not None:
            self._log_metrics(outputs, columns["log_metric"])
        if columns.get("log_extra") is not None:
            self._log_columns(outputs, columns["log_extra"])
        scores = [output.score for output in outputs]
        if self._clip_range is not None:
            low, high = self._clip_range
            scores = [None if score is None else min(max(score, low), high) for score in scores]
        return filled_by_siblings(samples, scores) if self._on_failure == "neutral" else scores

    def _log_metrics(self, outputs: Sequence[RewardOutput], log: _LogMetric) -> None:
        """Scalars of this call; TRL averages them over the calls of a logged step."""
        scores: dict[str, list[float]] = {}
        for output in outputs:
            for name, metric in output.metrics.items() if output.score is not None else ():
                if metric.score is not None:
                    scores.setdefault(name, []).append(metric.score)
        for name, values in scores.items():
            log(f"reward/{self.__name__}/{name}", sum(values) / len(values))
        failed = [output.failure for output in outputs if output.failure is not None]
        log(f"reward_failures/{self.__name__}", float(len(failed)))
        counts = Counter(failure.kind.value for failure in failed)
        counts.update(
            f"{name}/{metric.failure.kind.value}"
            for output in outputs
            if output.failure is None
            for name, metric in output.metrics.items()
            if metric.failure is not None
        )
        # What was seen once is logged for ever, with 0 too: TRL's average is over the calls that log a name.
        self._kinds |= counts.keys()
        for kind in sorted(self._kinds):
            log(f"reward_failures/{self.__name__}/{kind}", float(counts[kind]))

    def _log_columns(self, outputs: Sequence[RewardOutput], log: _LogExtra) -> None:
        """Columns of TRL's completions table; always the same ones, for it refuses columns of unequal length."""
        components = [
            ", ".join(
                f"{name}={'failed' if metric.score is None else format(metric.score, 'g')}"
                for name, metric in output.metrics.items()
            )
            for output in outputs
        ]
        failures = [
            "" if output.failure is None else f"{output.failure.kind.value}: {output.failure.message}"
            for output in outputs
        ]
        log(f"{self.__name__}/components", components)
        log(f"{self.__name__}/reason", [output.reason or "" for output in outputs])
        log(f"{self.__name__}/failure", failures)


class TrlReward(_Adapter):
    """Callable as ``f(prompts, completions, **columns) -> list[float | None]``; TRL logs it under `__name__`.

    Columns that are lists of one value a completion go with their samples as metadata; the label is the first of
    label, ground_truth, solution, answer. Completions of the same prompt are a group.

    Args:
        reward: a reward, or a served one in the name of a run.
        name: what TRL logs it under; the reward's own where left out.
        on_failure: what TRL is told of a failed sample; see this module.
        clip_range: the lowest and the highest number that TRL is told.

    Raises:
        ConfigError: `on_failure` is no known one.

    Example:
        >>> from rayreward import RewardFunction
        >>> reward = RewardFunction(func=lambda response, label: float(response == label))
        >>> reward.get_trl_adapter()(prompts=["2 + 2?", "1 + 1?"], completions=["4", "3"], answer=["4", "2"])
        [1.0, 0.0]
    """

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """One number a completion; None where there is no score."""
        samples = samples_of(prompts, completions, columns)
        if isinstance(self._reward, RewardFunction):
            outputs = self._reward.score(samples)
        else:
            outputs = self._reward.score(samples, step=step_of(columns))
        return self._answer(samples, outputs, columns)


class AsyncTrlReward(_Adapter):
    """`TrlReward` for TRL's event loop, where it runs beside other async reward functions (TRL 1.14.2 or newer)."""

    async def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """One number a completion; None where there is no score."""
        samples = samples_of(prompts, completions, columns)
        if not isinstance(self._reward, RewardFunction):
            outputs = await self._reward.ascore(samples, step=step_of(columns))
        elif self._reward.is_async:
            outputs = await self._reward.ascore(samples)
        else:  # sync code would hold up the loop that the others run on
            outputs = await asyncio.to_thread(self._reward.score, samples)
        return self._answer(samples, outputs, columns)


def samples_of(prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Any]) -> list[Sample]:
    """The samples of one TRL call; those of one prompt are a group.

    Raises:
        ValueError: prompts and completions differ in number.
    """
    count = len(completions)
    per_sample = {
        name: values
        for name, values in columns.items()
        if name not in _NOT_COLUMNS and isinstance(values, (list, tuple)) and len(values) == count
    }
    label_column = next((name for name in _LABEL_COLUMNS if name in per_sample), None)
    groups = [_group_of(prompt) for prompt in prompts]
    sizes = Counter(groups)
    samples = []
    for position, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        group = groups[position]
        fields: dict[str, Any] = {
            "label": per_sample[label_column][position] if label_column else None,
            "metadata": {name: values[position] for name, values in per_sample.items() if name != label_column},
            "group_id": group,
            "group_size": sizes[group],
        }
        if isinstance(prompt, str) and isinstance(completion, str):
            samples.append(Sample(prompt=prompt, response=completion, **fields))
        else:
            answer = [{"role": "assistant", "content": completion}] if isinstance(completion, str) else completion
            samples.append(Sample([*as_messages(prompt), *as_messages(answer)], **fields))
    return samples


def _group_of(prompt: Any) -> str:
    text = prompt if isinstance(prompt, str) else prompt_text(as_messages(prompt))
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def step_of(columns: Mapping[str, Any]) -> int | None:
    """The optimizer step that will learn from this call, 1 for the first; None where TRL does not say."""
    done = getattr(columns.get("trainer_state"), "global_step", None)
    return None if done is None else int(done) + 1


def filled_by_siblings(samples: Sequence[Sample], scores: Sequence[float | None]) -> list[float | None]:
    """The scores; where there is none, the mean of the same prompt's, whose advantage is 0; None where it has none."""
    known: dict[str | None, list[float]] = {}
    for sample, score in zip(samples, scores, strict=True):
        if score is not None:
            known.setdefault(sample.group_id, []).append(score)
    means = {group: sum(values) / len(values) for group, values in known.items()}
    return [
        means.get(sample.group_id) if score is None else score for sample, score in zip(samples, scores, strict=True)
    ]


class _LogMetric(Protocol):
    def __call__(self, name: str, value: float, /) -> None: ...


class _LogExtra(Protocol):
    def __call__(self, column: str, values: list[Any], /) -> None: ...
