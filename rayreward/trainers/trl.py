"""A reward as a function for TRL's trainers.

What arrives: what TRL hands to reward functions: prompts and completions (texts or chats) and the data set's columns.
What leaves: one float a completion, or None, which TRL leaves out of its means.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rayreward.messages import as_messages
from rayreward.types import Sample

if TYPE_CHECKING:
    from rayreward.function import RewardFunction

_LABEL_COLUMNS = ("label", "ground_truth", "solution", "answer")
"""Columns that hold the truth in common data sets, the first present wins."""

_NOT_COLUMNS = frozenset(
    {"completion_ids", "completions_ids", "prompts_ids", "trainer_state", "log_extra", "log_metric"}
)


class TrlReward:
    """Callable as ``f(prompts, completions, **columns) -> list[float | None]``; TRL logs it under `__name__`.

    Columns that are lists of one value a completion go with their samples as metadata; the label is the first of
    label, ground_truth, solution, answer.

    Example:
        >>> from rayreward import RewardFunction
        >>> reward = RewardFunction(func=lambda response, label: float(response == label))
        >>> reward.get_trl_adapter()(prompts=["2 + 2?", "1 + 1?"], completions=["4", "3"], answer=["4", "2"])
        [1.0, 0.0]
    """

    def __init__(self, reward: RewardFunction) -> None:
        self._reward = reward
        self.__name__ = reward.name or type(reward).__name__

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float | None]:
        """One number a completion; None where there is no score."""
        return [output.score for output in self._reward.score(samples_of(prompts, completions, columns))]


def samples_of(prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Any]) -> list[Sample]:
    """The samples of one TRL call.

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
    samples = []
    for position, (prompt, completion) in enumerate(zip(prompts, completions, strict=True)):
        metadata = {name: values[position] for name, values in per_sample.items() if name != label_column}
        label = per_sample[label_column][position] if label_column else None
        if isinstance(prompt, str) and isinstance(completion, str):
            samples.append(Sample(prompt=prompt, response=completion, label=label, metadata=metadata))
        else:
            answer = [{"role": "assistant", "content": completion}] if isinstance(completion, str) else completion
            samples.append(Sample([*as_messages(prompt), *as_messages(answer)], label=label, metadata=metadata))
    return samples
