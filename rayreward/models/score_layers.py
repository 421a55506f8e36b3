"""The layers that turn a hidden row into numbers, in fp32, for heads that have more than one.

What arrives: tensors of a checkpoint, and hidden rows. What leaves: outputs, and their normalised form.
Shapes: R rows, H hidden width, L outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rayreward.errors import RewardLoadError


@dataclass(frozen=True)
class Normalisation:
    """The checkpoint's own: ``score = (raw - mean) / std``.

    Raises:
        RewardLoadError: numbers that are not finite, or a `std` that is not over 0.

    Example:
        >>> Normalisation(mean=1.0, std=2.0).apply(4.0)
        1.5
    """

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.std) and self.std > 0):
            raise RewardLoadError(
                f"a score is normalised by (raw - mean) / std with a std over 0, found mean={self.mean}, "
                f"std={self.std}: correct them in the checkpoint's config.json, or give mean and std"
            )

    def apply(self, raw: float) -> float:
        """The normalised score."""
        return (raw - self.mean) / self.std


class ScoreLayers:
    """Linear layers with an activation between them.

    Args:
        layers: weight [out, in] and bias [out] (or None) of each, first to last.
        activation: between them: a function of a tensor.

    Raises:
        RewardLoadError: shapes that do not fit on each other.
    """

    def __init__(self, layers: Sequence[tuple[Any, Any]], activation: Any = None) -> None:
        self._layers = [(weight.float(), None if bias is None else bias.float()) for weight, bias in layers]
        self._activation = activation
        for (before, _), (after, _) in zip(self._layers, self._layers[1:], strict=False):
            if before.shape[0] != after.shape[1]:
                raise RewardLoadError(
                    f"a head's layers do not fit: {list(before.shape)} is followed by {list(after.shape)}"
                )

    @property
    def input_width(self) -> int:
        """H."""
        return int(self._layers[0][0].shape[1])

    @property
    def output_width(self) -> int:
        """L."""
        return int(self._layers[-1][0].shape[0])

    def to(self, device: Any) -> ScoreLayers:
        """Move the weights, in place."""
        self._layers = [(weight.to(device), None if bias is None else bias.to(device)) for weight, bias in self._layers]
        return self

    def __call__(self, rows_R_H: Any) -> Any:
        """[R, H] to [R, L]."""
        from torch.nn.functional import linear

        values = rows_R_H
        for at, (weight, bias) in enumerate(self._layers):
            values = linear(values, weight, bias)
            if at < len(self._layers) - 1:
                values = self._activation(values)
        return values


def named_layers(tensors: Mapping[str, Any], stems: Sequence[str]) -> list[tuple[Any, Any]]:
    """Weight and bias of each stem; a bias may be missing."""
    return [(tensors[f"{stem}.weight"], tensors.get(f"{stem}.bias")) for stem in stems]
