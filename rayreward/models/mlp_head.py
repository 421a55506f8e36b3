"""A head of two layers over the last token, as Qwen2.5-Math-RM has it.

What arrives: the last tokens' hidden rows. What leaves: one number a unit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rayreward.models.heads import LAST
from rayreward.models.inputs import Reading
from rayreward.models.score_layers import Normalisation, ScoreLayers


class MlpHead:
    """Layers of one output over the last token.

    Args:
        layers: of one output.
        normalisation: of the reward.
    """

    marks: tuple[str, ...] = ()

    def __init__(self, layers: ScoreLayers, *, normalisation: Normalisation | None = None) -> None:
        self._layers, self._normalisation = layers, normalisation or Normalisation()

    def to(self, device: Any) -> MlpHead:
        """Move the weights, in place."""
        self._layers.to(device)
        return self

    def read(self, rows: Mapping[str, Any], counts: Mapping[str, Sequence[int]]) -> list[Reading]:
        """The last tokens' outputs: see `Head.read`."""
        raws = self._layers(rows[LAST])[:, 0].tolist()
        return [Reading(raw, self._normalisation.apply(raw)) for raw in raws]
