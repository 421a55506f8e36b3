"""PairRM's head: which of two candidates answers a source better.

What arrives: the hidden rows of three marks, ``source``, ``candidate1`` and ``candidate2``. What leaves: a logit, over
0 where the first candidate is the better one; it means nothing outside of the pair. The model is not symmetric: ask
both orders.
Source: LLM-Blender (arXiv 2306.02561) and the code published with llm-blender/PairRM-hf.
Shapes: U units, H hidden width, N tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rayreward.errors import RewardLoadError
from rayreward.models.inputs import Reading
from rayreward.models.score_layers import Normalisation, ScoreLayers, named_layers

PAIR_MARKS = ("source", "candidate1", "candidate2")


class PairHead:
    """Two layers over source and candidate, for each of the candidates; their difference is the logit.

    Args:
        tensors: the checkpoint's own, by name: `head_layer.1` and `head_layer.4`.
        normalisation: of the logit, where one was given.

    Raises:
        RewardLoadError: shapes that do not fit on each other.
    """

    marks: tuple[str, ...] = PAIR_MARKS

    def __init__(self, tensors: Mapping[str, Any], *, normalisation: Normalisation | None = None) -> None:
        import torch

        self._layers = ScoreLayers(named_layers(tensors, ["head_layer.1", "head_layer.4"]), torch.tanh)
        self._normalisation = normalisation or Normalisation()
        if self._layers.input_width % 2:
            raise RewardLoadError(
                f"a pair head reads two rows side by side, found an odd width of {self._layers.input_width}"
            )

    def to(self, device: Any) -> PairHead:
        """Move the weights, in place."""
        self._layers.to(device)
        return self

    def read(self, rows: Mapping[str, Any], counts: Mapping[str, Sequence[int]]) -> list[Reading]:
        """The logit of each pair, and both candidates' own outputs: see `Head.read`."""
        import torch

        source_U_H, first_U_H, second_U_H = (rows[mark] for mark in PAIR_MARKS)
        first_U = self._layers(torch.cat([source_U_H, first_U_H], dim=-1)).mean(-1)
        second_U = self._layers(torch.cat([source_U_H, second_U_H], dim=-1)).mean(-1)
        logits, firsts, seconds = (first_U - second_U).tolist(), first_U.tolist(), second_U.tolist()
        return [
            Reading(logit, self._normalisation.apply(logit), {"candidate1": first, "candidate2": second})
            for logit, first, second in zip(logits, firsts, seconds, strict=True)
        ]
