"""Heads of process reward models: a number at each step of a solution, and one for the whole.

What arrives: the hidden rows of the positions marked ``step``. What leaves: each step's reward, and their aggregate by
the rule that was chosen. Three ways to read a step are known: the probability of "right" of two labels
(Qwen2.5-Math-PRM, TRL's PRMTrainer), of one of two words that a language model may say there (Math-Shepherd), and a
value through a sigmoid (Skywork-o1-Open-PRM).
Shapes: R rows (steps of all units), H hidden width, L outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from rayreward.errors import RewardLoadError
from rayreward.models.inputs import Reading
from rayreward.models.score_layers import Normalisation, ScoreLayers

STEP = "step"
"""The mark of a step's end."""

Aggregate = Literal["min", "prod", "last", "mean"]


class StepHead:
    """A probability at each step.

    Args:
        layers: of one output, read through a sigmoid, or of two, read through a softmax.
        good: which of two outputs says that a step is right.
        aggregate: how steps become one score.
        normalisation: of that score; steps are never normalised.

    Raises:
        RewardLoadError: another number of outputs.

    Example:
        >>> import torch
        >>> head = StepHead(ScoreLayers([(torch.tensor([[0.0], [1.0]]), None)]), good=1, aggregate="min")
        >>> [reading] = head.read({"step": torch.tensor([[0.0], [2.0]])}, {"step": [2]})
        >>> [round(step, 3) for step in reading.steps], reading.score
        ([0.5, 0.881], 0.5)
    """

    marks: tuple[str, ...] = (STEP,)

    def __init__(
        self,
        layers: ScoreLayers,
        *,
        aggregate: Aggregate,
        good: Literal[0, 1] = 0,
        normalisation: Normalisation | None = None,
    ) -> None:
        if layers.output_width not in (1, 2):
            raise RewardLoadError(f"a step is read from one or two outputs, found {layers.output_width}")
        self._layers, self._good, self._aggregate = layers, good, aggregate
        self._normalisation = normalisation or Normalisation()

    def to(self, device: Any) -> StepHead:
        """Move the weights, in place."""
        self._layers.to(device)
        return self

    def read(self, rows: Mapping[str, Any], counts: Mapping[str, Sequence[int]]) -> list[Reading]:
        """Steps and their aggregate: see `Head.read`."""
        import torch

        outputs_R_L = self._layers(rows[STEP])
        if self._layers.output_width == 1:
            right_R = torch.sigmoid(outputs_R_L[:, 0])
        else:
            right_R = torch.softmax(outputs_R_L, dim=-1)[:, self._good]
        return [self._reading(steps.tolist()) for steps in right_R.split(list(counts[STEP]))]

    def _reading(self, steps: Sequence[float]) -> Reading:
        raw = aggregate_steps(steps, self._aggregate)
        return Reading(raw, self._normalisation.apply(raw), steps=tuple(steps))


def aggregate_steps(steps: Sequence[float], rule: Aggregate) -> float:
    """One number from those of the steps.

    Example:
        >>> aggregate_steps([0.5, 0.25, 1.0], "prod"), aggregate_steps([0.5, 0.25, 1.0], "last")
        (0.125, 1.0)
    """
    if rule == "min":
        return min(steps)
    if rule == "prod":
        return math.prod(steps)
    return steps[-1] if rule == "last" else math.fsum(steps) / len(steps)
